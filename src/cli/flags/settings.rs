//! Settings as data: the flags of `stylize` that shape pixels, as they would be typed, with the defaults that depend on
//! nothing else. They are written into the result, and stand in for the flags that a later command leaves out.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use impasto::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::look::Look;
use super::preset::NEIGHBOURS;

const VERSION: u64 = 1;
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Flags by their long names (the content by its own), each with the values it was given or has by default. A new
/// flag in [`Look`] is one of them without further work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flags(BTreeMap<String, Value>);

impl Flags {
    /// With another photograph.
    #[must_use]
    pub fn of(mut self, content: &str) -> Self {
        self.0.insert("content".into(), content.into());
        self
    }

    /// Of a run that goes on from a finished picture.
    #[must_use]
    pub fn going_on(mut self, from: &str) -> Self {
        self.0.insert("init".into(), from.into());
        self.0.insert("scales".into(), 1.into());
        self.0.remove("steps");
        self
    }
}

/// What a picture was made with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub version: u64,
    /// The version of the program: another one may have another built-in network, or round in another way.
    pub program: String,
    /// `--no-tune` was given: kernels differ in how they round.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_tune: bool,
    pub settings: Flags,
    /// SHA-256 of every file that was read, by the path that was given.
    pub inputs: BTreeMap<String, String>,
}

impl Record {
    pub fn new(no_tune: bool, settings: Flags, inputs: BTreeMap<String, String>) -> Self {
        let program = PROGRAM.into();
        Record { version: VERSION, program, no_tune, settings, inputs }
    }

    /// Reads the settings that `name` carries.
    ///
    /// # Errors
    /// [`Error::File`] when they are damaged, or from a newer version.
    pub fn parse(json: &str, name: &str) -> Result<Self> {
        let wrong = |what| Error::File { path: name.into(), what };
        let damaged = |e: serde_json::Error| {
            wrong(format!("the settings in it can't be read ({e}): give the flags themselves"))
        };
        let value: Value = serde_json::from_str(json).map_err(damaged)?;
        match value["version"].as_u64() {
            Some(version) if version > VERSION => Err(wrong(format!(
                "the settings in it are of version {version}, and this impasto reads {VERSION}: use a newer one"
            ))),
            _ => serde_json::from_value(value).map_err(damaged),
        }
    }

    /// A line about the program that made `name`, where that was another version.
    pub fn other_program(&self, name: &str) -> Option<String> {
        let Record { program, .. } = self;
        (program != PROGRAM).then(|| {
            format!(
                "{name}: made by impasto {program}, and this is {PROGRAM}: the result may differ"
            )
        })
    }

    /// The flags' long name for a value, or for one with a weight behind it; the content's own.
    pub fn flag_of(&self, path: &str) -> Option<&str> {
        let weighted = format!("{path}=");
        let names = |value: &Value| {
            let texts = texts(value.clone());
            texts.iter().any(|t| t == path || t.to_string_lossy().starts_with(&weighted))
        };
        self.settings.0.iter().find(|(_, value)| names(value)).map(|(flag, _)| flag.as_str())
    }

    pub fn to_json(&self) -> String {
        // Strings and numbers in maps: this can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The settings of a command: the flags that were `given`, for the others those in `stored`, for the rest the
/// defaults.
///
/// # Errors
/// What clap has to say about them; about unknown names, too.
pub fn resolve(given: &ArgMatches, stored: &Flags) -> Result<(Look, Flags), clap::Error> {
    let command = look().no_binary_name(true);
    let mut stored = stored.clone();
    complete(&mut stored);
    drop_companions(given, &mut stored);
    change_method(given, &mut stored);
    let (mut flags, mut content) = (Vec::new(), None);
    for arg in command.get_arguments() {
        let kept = stored.0.remove(name(arg));
        let values: Vec<OsString> = match given_values(given, arg) {
            Some(values) => values,
            None => kept.map(texts).unwrap_or_default(),
        };
        for value in values {
            match arg.get_action() {
                _ if arg.is_positional() => content = Some(value),
                ArgAction::SetTrue if value == "true" => {
                    flags.push(format!("--{}", name(arg)).into())
                }
                ArgAction::SetTrue => {}
                _ => {
                    let mut flag = OsString::from(format!("--{}=", name(arg)));
                    flag.push(value);
                    flags.push(flag);
                }
            }
        }
    }
    // Left-over names go in as flags as well, and are refused as such.
    flags.extend(stored.0.into_keys().map(|name| format!("--{name}").into()));
    let content = content.map(|path| [OsString::from("--"), path]);
    let matches = command
        .clone()
        .try_get_matches_from(flags.into_iter().chain(content.into_iter().flatten()))?;
    let all = command.get_arguments().filter_map(|arg| {
        let values = matches.get_raw(arg.get_id().as_str())?;
        let values: Vec<Value> = values.map(|v| number_or_text(&v.to_string_lossy())).collect();
        let value = if let [one] = values.as_slice() { one.clone() } else { values.into() };
        Some((name(arg).to_owned(), value))
    });
    let flags = Flags(all.collect());
    Ok((Look::from_arg_matches(&matches)?, flags))
}

/// Adds what older versions did not write, as it was then; the defaults of their own flags they did.
fn complete(stored: &mut Flags) {
    if !stored.0.is_empty() {
        stored.0.entry("octaves".into()).or_insert(1.into());
    }
}

/// Drops what is stored and only made sense beside a flag that is given anew.
fn drop_companions(given: &ArgMatches, stored: &mut Flags) {
    let typed = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let value = |id: &str| given.get_raw(id).and_then(|mut raw| raw.next()).map(OsString::from);
    let before = stored.0.get("optimizer").cloned().and_then(|value| texts(value).pop());
    let mut drop = |names: &[&str]| names.iter().for_each(|name| drop(stored.0.remove(*name)));
    if typed("style") {
        drop(&["mask", "style-mask"]);
    }
    // A preset says how it descends; what it does not say is off.
    if typed("preset") {
        drop(&["lr", "history", "average", "stop-when-flat"]);
    }
    // Another optimiser's steps are of other sizes.
    let is_adam = |name: &Option<OsString>| name.as_ref().is_some_and(|name| name == "adam");
    if typed("optimizer") && is_adam(&value("optimizer")) != is_adam(&before) {
        drop(&["lr", "history"]);
    }
}

/// What goes with neighbours, and with nothing else, comes and goes with them. Where it is said that only the size asked for
/// is painted, that stays: it may be a finished picture that is gone on with.
fn change_method(given: &ArgMatches, stored: &mut Flags) {
    let is_by_place = |name: Option<OsString>| name.is_some_and(|name| name == "neighbours");
    let before = is_by_place(stored.0.get("style-loss").cloned().and_then(|v| texts(v).pop()));
    let typed = given.value_source("style_loss") == Some(ValueSource::CommandLine);
    let raw = || given.get_raw("style_loss").and_then(|mut raw| raw.next()).map(OsString::from);
    let now = if typed { is_by_place(raw()) } else { before };
    if now == before {
        return;
    }
    for (flag, value) in NEIGHBOURS {
        if flag == "scales" && stored.0.get(flag).is_some_and(|scales| *scales == 1) {
            continue;
        }
        stored.0.remove(flag);
        if now {
            stored.0.insert(flag.into(), number_or_text(value));
        }
    }
}

fn look() -> Command {
    Look::augment_args(Command::new("stylize"))
}

/// What was typed for a flag, if it was.
fn given_values(given: &ArgMatches, arg: &Arg) -> Option<Vec<OsString>> {
    let id = arg.get_id().as_str();
    let typed = given.value_source(id) == Some(ValueSource::CommandLine);
    typed.then(|| given.get_raw(id).into_iter().flatten().map(Into::into).collect())
}

fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// Numbers as numbers, where that keeps every digit.
fn number_or_text(text: &str) -> Value {
    let same = |value: &Value| {
        matches!(value, Value::Number(_) | Value::Bool(_)) && value.to_string().as_str() == text
    };
    serde_json::from_str(text).ok().filter(same).unwrap_or_else(|| text.into())
}

fn texts(value: Value) -> Vec<OsString> {
    match value {
        Value::Array(values) => values.into_iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.into()],
        other => vec![other.to_string().into()],
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use impasto::loss::LossSettings;

    use super::*;
    use crate::cli::Cli;

    /// Whoever adds a flag decides here whether it shapes pixels: then its place is in [`Look`].
    #[test]
    fn the_other_flags_shape_no_pixels() {
        let cli = Cli::command();
        let stylize = cli.find_subcommand("stylize").expect("a command");
        let settings = look();
        let is_setting =
            |arg: &&Arg| settings.get_arguments().any(|own| own.get_id() == arg.get_id());
        let others: Vec<_> =
            stylize.get_arguments().filter(|arg| !is_setting(arg)).map(name).collect();
        let known = "output trace save-every settings-from more resume checkpoint checkpoint-every memory tile plan";
        assert_eq!(others, known.split(' ').collect::<Vec<_>>());
    }

    #[test]
    fn neighbours_bring_their_own_settings() {
        let given =
            look().get_matches_from("stylize a --style b --style-loss neighbours".split(' '));
        let (look, _) = resolve(&given, &Flags::default()).expect("settings");
        let outputs = crate::cli::flags::Outputs::default();
        let loss =
            crate::cli::flags::Settings::check(&look, &outputs).expect("they go together").loss;
        assert_eq!(format!("{loss:?}"), format!("{:?}", LossSettings::neighbours()));
    }

    #[test]
    fn what_is_given_comes_before_what_is_stored() {
        let given = |line: &str| look().get_matches_from(format!("stylize {line}").split(' '));
        let (first, flags) = resolve(
            &given("a.png --style=b.jpg=2 --style c.jpg --lr 0.10 --seed 18446744073709551615"),
            &Flags::default(),
        )
        .expect("settings");
        let text = serde_json::to_string(&flags).expect("JSON");
        assert!(text.contains("\"style\":[\"b.jpg=2\",\"c.jpg\"]"), "{text}");
        assert!(
            text.contains("\"lr\":\"0.10\"") && text.contains("18446744073709551615"),
            "{text}"
        );
        let stored: Flags = serde_json::from_str(&text).expect("flags");
        assert_eq!(stored, flags);
        let look = look().mut_args(|arg| arg.required(false));
        let nothing = look.clone().get_matches_from(["stylize"]);
        let (again, same) = resolve(&nothing, &stored).expect("settings");
        assert_eq!(same, flags);
        assert_eq!(format!("{again:?}"), format!("{first:?}"));
        // What only went with another flag goes with it.
        let of = |line: &str| look.clone().get_matches_from(format!("stylize {line}").split(' '));
        let (_, stored) = resolve(
            &of(
                "a.png --style b.jpg --mask m.png --optimizer lbfgs --history 5 --lr 0.2 --average",
            ),
            &Flags::default(),
        )
        .expect("settings");
        for (line, kept, gone) in [
            ("--seed 3", "mask history lr average", ""),
            ("--style c.jpg", "history lr average", "mask"),
            ("--style c.jpg --mask n.png", "mask history", ""),
            ("--optimizer adam", "mask average", "history lr"),
            ("--optimizer lbfgs", "mask history lr average", ""),
            ("--preset gatys", "mask", "history lr average"),
            ("--preset gatys --lr 0.1", "mask lr", "history average"),
        ] {
            let (_, Flags(flags)) = resolve(&of(line), &stored).expect(line);
            let is_on = |name: &&str| flags.get(*name).is_some_and(|v| *v != false);
            assert!(kept.split_whitespace().all(|name| is_on(&name)), "{line}: {flags:?}");
            assert!(!gone.split_whitespace().any(|name| is_on(&name)), "{line}: {flags:?}");
        }
        // A record of before there were octaves is one of one octave.
        let mut old = stored.clone();
        assert_eq!(old.0.remove("octaves"), Some("auto".into()));
        let (_, now) = resolve(&of("--seed 3"), &old).expect("settings");
        assert_eq!(now.0["octaves"], 1);
        let (_, now) = resolve(&of("--octaves 2"), &old).expect("settings");
        assert_eq!(now.0["octaves"], 2);
        // Before edges could meet, none did.
        assert_eq!(old.0.remove("seamless"), Some("none".into()));
        let (_, now) = resolve(&of("--seed 3"), &old).expect("settings");
        assert_eq!(now.0["seamless"], "none");
        let (_, now) = resolve(&of("--seamless"), &old).expect("settings");
        assert_eq!(now.0["seamless"], "both");
        // A path may begin with a hyphen.
        let other = look.get_matches_from(["stylize", "--style=d.jpg", "--", "-a.png"]);
        let (_, changed) = resolve(&other, &stored).expect("settings");
        let text = serde_json::to_string(&changed).expect("JSON");
        assert!(text.contains("\"-a.png\"") && text.contains("\"style\":\"d.jpg\""), "{text}");
    }
}
