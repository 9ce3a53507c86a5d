//! The `impasto` program: arguments in, one line of error out.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
