//! Keeps a small compressed inventory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use label::Label;
use shelf::Shelf;
use walkdir::WalkDir;

#[derive(Parser)]
#[command(name = "pantry", version = shelf::VERSION, about = "Keeps a small compressed inventory")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put something on a shelf
    Put {
        file: PathBuf,
        name: String,
        #[arg(default_value_t = 1)]
        count: u64,
        #[arg(long, default_value = "piece")]
        unit: String,
        #[arg(long, default_value = "1.0.0")]
        recipe: semver::Version,
    },
    /// Show every shelf below a directory, as JSON
    List { directory: PathBuf },
    /// Write and read a shelf back, to see that everything works here
    Check,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Put {
            file,
            name,
            count,
            unit,
            recipe,
        } => put(&file, Label::new(&name, recipe), count, &unit),
        Command::List { directory } => list(&directory),
        Command::Check => check(),
    }
}

fn put(file: &Path, label: Label, count: u64, unit: &str) -> Result<()> {
    let mut shelf = if file.exists() {
        Shelf::load(file)?
    } else {
        Shelf::default()
    };
    shelf.put(label, count, unit)?;
    shelf.save(file).context("the shelf is as it was")
}

fn list(directory: &Path) -> Result<()> {
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry?;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "shelf")
        {
            println!(
                "{}",
                serde_json::to_string_pretty(&Shelf::load(entry.path())?)?
            );
        }
    }
    Ok(())
}

fn check() -> Result<()> {
    let file = std::env::temp_dir().join(format!("check-{}.shelf", std::process::id()));
    put(
        &file,
        Label::new("plums", semver::Version::new(1, 0, 0)),
        2,
        "dozen",
    )?;
    let shelf = Shelf::load(&file)?;
    std::fs::remove_file(&file)?;
    let pieces: u64 = shelf.jars().map(|jar| jar.pieces).sum();
    anyhow::ensure!(pieces == 24, "wrote 24 pieces, read {pieces}");
    println!("ok");
    Ok(())
}
