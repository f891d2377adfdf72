//! The `jobplane` binary: the command line of the library of the same name.

/// What a page of jobs or a burst of reports took goes back to the system soon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    jobplane::cli::main()
}
