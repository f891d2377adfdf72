//! The `jobplane` binary: the command line of the library of the same name.

fn main() -> std::process::ExitCode {
    jobplane::cli::main()
}
