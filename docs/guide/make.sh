#!/bin/sh
# Paints the pictures of docs/GUIDE.md anew, with impasto alone: `make guide-pictures`, or for some of them
# `sh docs/guide/make.sh detail-1 steps-20`. Run it in the repository's root.
#
# Its inputs are ours, too. `impasto demo` renders docs/demo-content.jpg and docs/demo-style.jpg. painting-2.jpg is
# `textures.strokes(numpy.random.default_rng(7))` of weights/train/textures.py. The masks were drawn by hand.
set -eu

impasto=${IMPASTO:-target/release/impasto}
wanted=" $* "

# paint NAME FLAGS… : the lake like the whirl, as docs/guide/NAME.jpg. Without the tuner's measurements a driver paints
# the same bytes each time.
paint() {
    like docs/demo-style.jpg "$@"
}

# like PAINTING NAME FLAGS… : the same with another painting.
like() {
    painting=$1 name=$2
    shift 2
    case "$wanted" in
        "  " | *" $name "*) ;;
        *) return 0 ;;
    esac
    "$impasto" stylize docs/demo-content.jpg --style "$painting" --size 160 --no-tune -o "docs/guide/$name.jpg" "$@"
}

paint default

# How much style
paint strength-0.25 --strength 0.25
paint strength-0.5 --strength 0.5
paint style-weight-10 --style-weight 10
paint style-weight-1000 --style-weight 1000
paint content-weight-0 --content-weight 0
paint content-weight-10 --content-weight 10
paint style-loss-mean-std --style-loss mean-std
paint style-loss-wasserstein --style-loss wasserstein
paint style-loss-neighbours --style-loss neighbours

# What stays of the photograph
paint detail-0 --detail 0
paint detail-1 --detail 1
paint detail-3 --detail 3

# Strokes
paint style-size-80 --style-size 80
paint style-size-320 --style-size 320
paint octaves-1 --octaves 1
paint octave-weights --octave-weights 1,4
paint content-octaves --octave-weights 1,4 --content-octaves 1,1
paint scales-4 --scales 4 --style-size 320

# Colours
paint preserve-color-luma --preserve-color luma
paint preserve-color-histogram --preserve-color histogram
paint color-only --color-only

# Only a part
paint mask --mask docs/guide/sky.png
paint mask-two --mask docs/guide/sky.png --style docs/guide/painting-2.jpg --mask docs/guide/land.png
paint style-mask --style-mask docs/guide/whirl.png

# Several paintings
paint two --style docs/guide/painting-2.jpg
paint two-weighted --style docs/guide/painting-2.jpg=4
like docs/guide/painting-2.jpg second

# Smoothness
paint tv-weight-0 --tv-weight 0
paint tv-weight-30 --tv-weight 30
paint tv-kind-absolute --tv-kind absolute --tv-weight 0.0001
paint adam --optimizer adam
paint average --optimizer adam --average

# Where to start
paint init-noise --init noise
paint init-noise-seed-1 --init noise --seed 1
paint init-style --init style
paint init-file --init docs/guide/painting-2.jpg

# Steps
paint steps-5 --steps 5
paint steps-20 --steps 20
paint steps-300 --steps 300
paint lr-0.2 --optimizer adam --lr 0.2

# Without a seam: painted once, shown four times
tiled() {
    name=$1
    shift
    case "$wanted" in
        "  " | *" $name "*) ;;
        *) return 0 ;;
    esac
    tile=$(mktemp -d)
    "$impasto" stylize docs/demo-content.jpg --style docs/demo-style.jpg --size 160 --no-tune -o "$tile/tile.png" "$@"
    cargo run --release --locked --example tile -- "$tile/tile.png" "docs/guide/$name.jpg"
    rm -r "$tile"
}
tiled seamless --seamless
tiled seamless-texture --seamless --init noise --content-weight 0 --detail 0

# What sees the pictures
paint network-random --network random:vgg19/4
paint preprocess --preprocess caffe
paint content-layers-relu1_1 --content-layers relu1_1
paint content-layers-relu4_1 --content-layers relu4_1
paint style-layers-relu1_1 --style-layers relu1_1
paint style-layers-relu4_1 --style-layers relu4_1
paint pool-avg --pool avg
paint precision-f16 --precision f16
paint preset-tutorial --preset tutorial
