//! `--preset` and `--style-loss neighbours`: settings as the flags that they are, for those that were not given.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Command};
use impasto::Result;
use impasto::loss::{StyleLoss, neighbours};
use impasto::session::Preset;

/// The flags of a preset, by their long names, beside an optimiser of that name: a step size is Adam's.
fn flags(of: &Preset, optimizer: &str) -> Vec<(&'static str, String)> {
    let mut flags = vec![
        ("content-layers", of.content_layers.to_string()),
        ("style-layers", of.style_layers.to_string()),
        ("content-weight", of.content_weight.to_string()),
        ("style-weight", of.style_weight.to_string()),
        ("tv-weight", of.tv_weight.to_string()),
        ("tv-kind", of.variation.to_string()),
        ("style-loss", of.style_loss.to_string()),
        ("normalization", of.normalization.to_string()),
        ("pool", of.pool.name().to_string()),
        ("first-padding", of.first_padding.name().to_string()),
        ("init", of.init.to_string()),
        ("optimizer", of.optimizer.to_string()),
        ("steps", of.steps.to_string()),
        ("scales", of.scales.to_string()),
        ("octaves", "1".to_string()),
        ("detail", "0".to_string()),
    ];
    let lr = of.lr.filter(|_| optimizer == "adam");
    flags.extend(lr.map(|lr| ("lr", lr.to_string())));
    flags.extend(of.average.then(|| ("average", "true".to_string())));
    flags
}

/// The flags that go with neighbours: they are another method, which moves the photograph, not the losses' balance.
const NEIGHBOURS: [(&str, &str); 10] = [
    ("style-layers", neighbours::LAYERS),
    ("content-weight", "0"),
    ("tv-weight", "0"),
    ("detail", "0"),
    ("octaves", "1"),
    ("optimizer", "adam"),
    ("lr", "0.005"),
    ("steps", "60"),
    ("scales", "64px"),
    ("margin", "8"),
];

/// The arguments with those that go with the loss and the preset that they name. `matches`: what they said without.
///
/// # Errors
/// [`impasto::Error::Usage`] when there is no such preset.
pub fn filled_in(
    command: &Command,
    matches: &ArgMatches,
    mut arguments: Vec<OsString>,
) -> Result<Vec<OsString>> {
    let Some((name, given)) = matches.subcommand() else { return Ok(arguments) };
    let Some(command) = command.find_subcommand(name) else { return Ok(arguments) };
    let preset = given.try_get_one::<String>("preset").ok().flatten();
    let loss = given.try_get_one::<StyleLoss>("style_loss").ok().flatten();
    // What follows `--` is no flag any more.
    let end = arguments.iter().position(|a| a == "--").unwrap_or(arguments.len());
    let by_place = loss.is_some_and(|loss| loss.is_by_place());
    let of_loss = NEIGHBOURS.map(|(flag, value)| (flag, value.to_string()));
    let mut all: Vec<_> = of_loss.into_iter().filter(|_| by_place).collect();
    if let Some(preset) = preset {
        let preset = Preset::named(preset)?;
        let optimizer = match given.value_source("optimizer") {
            Some(ValueSource::CommandLine) => {
                given.get_raw("optimizer").and_then(|mut raw| raw.next())
            }
            _ => None,
        };
        let optimizer = optimizer.map_or(preset.optimizer.into(), |name| name.to_string_lossy());
        let known: Vec<_> = all.iter().map(|(flag, _)| *flag).collect();
        let of_preset = flags(preset, &optimizer).into_iter();
        all.extend(of_preset.filter(|(flag, _)| !known.contains(flag)));
    }
    let missing = all.into_iter().filter_map(|(flag, value)| {
        // All of them are flags of the command.
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(flag))?;
        match given.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => None,
            _ if matches!(arg.get_action(), ArgAction::SetTrue) => Some(format!("--{flag}").into()),
            _ => Some(format!("--{flag}={value}").into()),
        }
    });
    let missing: Vec<OsString> = missing.collect();
    arguments.splice(end..end, missing);
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn a_step_size_is_adams() {
        let lr = |line: &str| {
            let arguments: Vec<OsString> =
                format!("impasto stylize a --style b {line}").split(' ').map(Into::into).collect();
            let matches = Cli::command().try_get_matches_from(&arguments).expect("arguments");
            let all = filled_in(&Cli::command(), &matches, arguments).expect("a preset");
            let lr =
                |flag: OsString| flag.to_string_lossy().strip_prefix("--lr=").map(str::to_owned);
            all.into_iter().find_map(lr)
        };
        assert_eq!(lr("--preset crowson").as_deref(), Some("0.02"));
        assert_eq!(lr("--preset crowson --optimizer lbfgs"), None);
        assert_eq!(lr("--preset neural-style"), None);
        assert!(lr("--preset neural-style --optimizer adam").is_some());
        assert_eq!(lr("--preset neural-style --optimizer=adam --lr 1"), None);
    }
}
