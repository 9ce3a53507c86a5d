//! `--preset` and `--style-loss neighbours`: settings as the flags that they are, for those that are not given.

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

/// The flags that go with neighbours ([`LossSettings::neighbours`](impasto::loss::LossSettings::neighbours)), where they are not
/// given: another method.
pub(super) const NEIGHBOURS: [(&str, &str); 10] = [
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

/// The arguments with those of the preset that they name. `matches`: what they said without it.
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
    let mut all = Vec::new();
    if let Some(preset) = preset {
        let preset = Preset::named(preset)?;
        let optimizer = match given.value_source("optimizer") {
            Some(ValueSource::CommandLine) => {
                given.get_raw("optimizer").and_then(|mut raw| raw.next())
            }
            _ => None,
        };
        let optimizer = optimizer.map_or(preset.optimizer.into(), |name| name.to_string_lossy());
        all = flags(preset, &optimizer);
        // Neighbours are another method than any preset's, and bring their own.
        all.retain(|(flag, _)| !(by_place && NEIGHBOURS.iter().any(|(own, _)| own == flag)));
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
