//! What an error of SQLite means.

use skein_core::seam::LedgerError;

const SQLITE_FULL: i32 = 13;
const SQLITE_IOERR: i32 = 10;
const SQLITE_TOOBIG: i32 = 18;
const SQLITE_CONSTRAINT: i32 = 19;
const SQLITE_MISMATCH: i32 = 20;

/// Why a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A value that the file will never take.
    Data(String),
    /// No room on the disk, or the file has its largest size.
    Full,
    /// Not every row was new: to be done again, row by row.
    NotAllNew,
    /// Everything else.
    Away(String),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let code =
            error.as_database_error().and_then(|db| db.code()).and_then(|code| code.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            Some(SQLITE_FULL) => Self::Full,
            Some(SQLITE_TOOBIG | SQLITE_CONSTRAINT | SQLITE_MISMATCH) => Self::Data(error.to_string()),
            Some(SQLITE_IOERR) => Self::Away(format!("{error}; look at the disk and its free space")),
            _ => Self::Away(error.to_string()),
        }
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::Away("the disk is full; make room, nothing is lost".into()),
            Fault::Data(why) | Fault::Away(why) => Self::Away(why),
            Fault::NotAllNew => Self::Away("busy".into()),
        }
    }
}

/// The error of a read.
pub(super) fn away(error: sqlx::Error) -> LedgerError {
    Fault::from(error).into()
}
