//! Tells the linker what memory the board has.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let (flash, ram) = match (
        env::var_os("CARGO_FEATURE_LM3S6965EVB"),
        env::var_os("CARGO_FEATURE_MPS2_AN386"),
    ) {
        (Some(_), None) => ("256K", "64K"),
        (None, Some(_)) => ("4M", "4M"),
        _ => {
            return Err("choose one board: --features lm3s6965evb or --features mps2-an386".into());
        }
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let memory = format!(
        "MEMORY {{\n  FLASH : ORIGIN = 0x00000000, LENGTH = {flash}\n  RAM : ORIGIN = 0x20000000, LENGTH = {ram}\n}}\n"
    );
    fs::write(out.join("memory.x"), memory)?;
    println!("cargo::rustc-link-search={}", out.display());
    // --nmagic: no page alignment, which would only be padding in flash.
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
