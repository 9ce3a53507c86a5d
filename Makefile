# `make demo` and `make test` are all that a fresh machine needs besides Rust, make and a C linker:
# both install Mesa's software Vulkan driver where no driver is found, or software OpenGL alone.

RELEASE = target/release/impasto
DEBUG = target/debug/impasto
# Debian's Chromium brings SwiftShader, a third driver for the operations' tests.
SWIFTSHADER = /usr/lib/chromium/vk_swiftshader_icd.json

.PHONY: demo test test-drivers guide-pictures

demo:
	cargo build --release --locked
	sh tests/driver.sh $(RELEASE)
	$(RELEASE) demo

test:
	cargo build --locked
	sh tests/driver.sh $(DEBUG)
	cargo test --locked

# The operations on the other drivers: OpenGL, and SwiftShader where it is installed. One test at a time on OpenGL: wgpu gives a
# thread up as deadlocked that waits six seconds for the context.
test-drivers:
	cargo build --locked
	sh tests/driver.sh $(DEBUG) --backend gl
	IMPASTO_BACKEND=gl cargo test --locked --test ops --test tape -- --test-threads=1
	@if [ -e $(SWIFTSHADER) ]; then set -x; \
	  VK_DRIVER_FILES=$(SWIFTSHADER) VK_ICD_FILENAMES=$(SWIFTSHADER) \
	    cargo test --locked --test ops --test tape; \
	else echo "skipped SwiftShader: $(SWIFTSHADER) is not there (Debian: apt-get install chromium)"; fi

# The pictures of docs/GUIDE.md, painted anew.
guide-pictures:
	cargo build --release --locked
	sh docs/guide/make.sh
