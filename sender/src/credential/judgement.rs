//! How the trial of a new credential ends, for who ordered it.

use tokio::sync::watch;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Open,
    Taken,
    GivenBack(String),
}

/// Says how a trial ends.
#[derive(Debug)]
pub struct Judge(watch::Sender<Verdict>);

/// The trial that a new credential is on. One that takes its place before APNs' word goes on with the same trial: what is given
/// back is what was there before the first of them.
#[derive(Debug, Clone)]
pub struct Judgement(watch::Receiver<Verdict>);

impl Judge {
    /// A trial begins.
    pub fn begin() -> Self {
        Self(watch::Sender::new(Verdict::Open))
    }

    /// What waits for its end.
    pub fn judgement(&self) -> Judgement {
        Judgement(self.0.subscribe())
    }

    /// What is in place stays.
    pub fn taken(self) -> Judgement {
        self.0.send_replace(Verdict::Taken);
        self.judgement()
    }

    /// What was there before is in place again, since APNs refuses the new one.
    pub fn given_back(self, why: String) {
        self.0.send_replace(Verdict::GivenBack(why));
    }
}

impl Judgement {
    /// Waits for the end of the trial, which may be as far as the pool's next push. Cancellation safe.
    ///
    /// # Errors
    /// Why APNs refuses the new credential, if it does: the old one is in place again, and its files are looked at.
    pub async fn ended(&self) -> Result<(), String> {
        let mut verdict = self.0.clone();
        let Ok(ended) =
            verdict.wait_for(|verdict| *verdict != Verdict::Open).await.map(|ended| ended.clone())
        else {
            // Its keeper has ended, and nobody will say.
            return std::future::pending().await;
        };
        match ended {
            Verdict::GivenBack(why) => Err(why),
            Verdict::Taken | Verdict::Open => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_known_however_late_it_is_asked() {
        let judge = Judge::begin();
        let judgement = judge.judgement();
        let waiting = tokio::spawn(async move { judgement.ended().await });
        let late = judge.judgement();
        judge.given_back("InvalidProviderToken".to_owned());
        assert_eq!(waiting.await.unwrap(), Err("InvalidProviderToken".to_owned()));
        assert_eq!(late.ended().await, Err("InvalidProviderToken".to_owned()));
        assert_eq!(Judge::begin().taken().ended().await, Ok(()));
    }
}
