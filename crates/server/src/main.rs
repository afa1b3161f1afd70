//! `gatepost`: one mail store, IMAP and POP3 in front, LMTP behind. The only crate that names a
//! backend.
#![deny(unsafe_code)]

mod account;
mod admin;
mod app;
mod backends;
mod backup;
mod cli;
mod config;
mod control;
mod demo;
mod directory;
mod failure;
mod format;
mod http;
mod limit;
mod logging;
mod metered;
mod policy;
mod progress;
mod recover;
mod signals;
mod time;
mod trim;
mod trouble;
mod uidl;
mod upkeep;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    logging::start();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("gatepost: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(cli: cli::Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::trouble(format!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        match cli.command {
            cli::Command::Demo { dir } => demo::run(dir).await,
            cli::Command::Serve { config } => app::serve(config::Config::load(&config)?).await,
            cli::Command::Config(cli::ConfigCommand::Check { config }) => {
                config::Config::load(&config)?;
                println!("{}: ok", config.display());
                Ok(())
            }
            cli::Command::Account(command) => account::run(command).await,
            cli::Command::Uidl(command) => uidl::run(command).await,
            cli::Command::Policy(command) => policy::run(command).await,
            cli::Command::History {
                named,
                message,
                limit,
            } => account::history(named, message, limit).await,
            cli::Command::Undelete(command) => account::undelete(command).await,
            cli::Command::Backup(args) => backup::backup(args).await,
            cli::Command::Restore(args) => backup::restore(args).await,
            cli::Command::Verify { config, contents } => account::verify(&config, contents).await,
            cli::Command::Compact { config } => account::compact(&config).await,
            cli::Command::Recover { config, force } => recover::run(&config, force).await,
        }
    });
    // Blocking work that is still under way must not keep a finished server from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}
