//! Generates the wire messages and the gRPC stubs from `proto/`, for builds with the feature `grpc` only. Needs no
//! `protoc`: the compiler is a library.

use std::error::Error;
use std::path::PathBuf;

const FILES: [&str; 6] = [
    "tidegate/ingest/v1/ingest.proto",
    "tidegate/resource/v1/resource.proto",
    "tidegate/rule/v1/rule.proto",
    "tidegate/task/v1/task.proto",
    "tidegate/value/v1/value.proto",
    "tidegate/worker/v1/worker.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    if std::env::var_os("CARGO_FEATURE_GRPC").is_none() {
        return Ok(());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?;
    // With imports, because reflection has to answer for the well-known types too.
    std::fs::write(
        out.join("tidegate.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".tidegate.ingest")
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
