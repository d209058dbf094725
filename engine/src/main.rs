//! The `tidegate` program.

/// Lines are made, appended and acknowledged on different threads and in every size: with the allocator of glibc that was
/// 45 % of an engine that writes many results (`benches/README.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tidegate::cli::main()
}
