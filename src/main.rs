//! The `unitbee` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // One thread is enough: hosts are waited for, not computed, and a runtime of many costs more to start than to use.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(unitbee::cli::main(std::env::args_os())).into(),
        Err(_) => ExitCode::FAILURE,
    }
}
