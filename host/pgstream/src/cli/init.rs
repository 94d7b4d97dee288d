//! `pgstream init`: makes what a stream needs in the source, and says of each thing whether it was there.

use std::process::ExitCode;

use listen::wal::{Options, Parts};

use super::{Error, print};

/// Prepares the source.
pub(super) async fn init(source: &Options, parts: Parts) -> Result<ExitCode, Error> {
    for action in listen::wal::init(source, parts).await? {
        print(&format!("{action}\n"));
    }
    print("the source is ready: changes from now on will be streamed by `pgstream run`\n");
    Ok(ExitCode::SUCCESS)
}
