//! What an error of PostgreSQL means: away, refused, or a row that can never be stored.

use skein_core::seam::LedgerError;
use skein_producer::tls_remedy;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// A value that the database will never take (classes 22 data exception, 23 integrity, 54 limits). Holds no value.
    Data(String),
    /// A final of the batch has one before it (unique violation): to be done again, asking which.
    NotAllNew,
    /// Everything else.
    Ledger(LedgerError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.code().as_deref() == Some("23505") => Self::NotAllNew,
            sqlx::Error::Database(db) if db.code().is_some_and(|code| is_data(&code)) => {
                Self::Data(format!("{} ({})", db.message(), db.code().unwrap_or_default()))
            }
            _ => Self::Ledger(away(error)),
        }
    }
}

fn is_data(code: &str) -> bool {
    ["22", "23", "54"].contains(&code.get(..2).unwrap_or_default())
}

/// Reached, and unusable until somebody mends it: login (28), rights and names (42), a missing database or schema (3D, 3F), a
/// read-only server (25006), a feature it lacks (0A).
fn is_refused(code: &str) -> bool {
    ["28", "42", "3D", "3F", "0A"].contains(&code.get(..2).unwrap_or_default()) || code == "25006"
}

/// The error as the seam says it: without values, with what the operator can do where that is known.
pub(super) fn away(error: sqlx::Error) -> LedgerError {
    match &error {
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default();
            let text = format!("{} ({code})", db.message());
            match &*code {
                "42P01" | "42883" | "3F000" => LedgerError::Refused(format!(
                    "{text}; the schema is missing or older than this version: migrate it"
                )),
                "28000" => LedgerError::Refused(format!(
                    "PostgreSQL: {text}; check ledger.username, pg_hba.conf and, where that demands one, the client certificate: \
                     cert_file and key_file"
                )),
                code if is_refused(code) || is_data(code) => LedgerError::Refused(text),
                _ => LedgerError::Away(text),
            }
        }
        sqlx::Error::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            // What the server thinks of our certificate it says again when it is asked, in full.
            Some(rustls::Error::AlertReceived(_)) | None => LedgerError::Away(error.to_string()),
            Some(tls) => LedgerError::Refused(format!("PostgreSQL: TLS: {tls}; {}", tls_remedy(tls, false))),
        },
        sqlx::Error::Configuration(_) | sqlx::Error::Tls(_) => LedgerError::Refused(error.to_string()),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
            LedgerError::Refused(format!("{error}; the schema is another than this version's: migrate it"))
        }
        _ => LedgerError::Away(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        for data in ["22021", "22003", "23502", "23514", "54000"] {
            assert!(is_data(data), "{data}");
        }
        for refused in ["28P01", "42501", "42P01", "3D000", "25006"] {
            assert!(is_refused(refused), "{refused}");
        }
        for tried_again in ["57P01", "57P03", "57014", "40001", "40P01", "53100", "53300", "08006", "55P03"] {
            assert!(!is_refused(tried_again) && !is_data(tried_again), "{tried_again}");
        }
        assert!(matches!(away(sqlx::Error::PoolTimedOut), LedgerError::Away(_)));
    }
}
