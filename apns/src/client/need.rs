//! How many connections there should be: by what waits, and by what one of them carries.

use std::time::Duration;

/// What the connections and the requests without one look like now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need {
    /// Connections that take requests without a limit of the handshake's.
    pub warm: usize,
    /// Connections past their age that still have requests open.
    pub aged_in_use: usize,
    /// Requests that no connection takes now.
    pub held: usize,
    /// For how long the oldest of them has waited.
    pub waited: Duration,
    /// Requests a second that one connection carries: its window left × round trip, its streams × latency. `None` until
    /// that is known.
    pub per_second: Option<f64>,
}

/// How many connections a client may have, and when it needs another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub min: usize,
    pub max: usize,
    /// No request should wait longer than this for a connection.
    pub wait_max: Duration,
}

/// Connections that are wanted in all, those past their age not counted.
///
/// As many as there are, and so many more that what is held would be carried within `wait_max`: where windows are small
/// and the way is long, that is known long before anything has waited. At most twice as many, since a burst is over when
/// its connections come.
pub(super) fn connections_wanted(need: Need, bounds: Bounds) -> usize {
    let late = usize::from(need.held > 0 && need.waited >= bounds.wait_max);
    let short = need
        .per_second
        .map_or(0, |per_second| (need.held as f64 / (per_second * bounds.wait_max.as_secs_f64())) as usize);
    let more = late.max(short).min(need.warm);
    let least = if need.held > 0 { bounds.min.max(1) } else { bounds.min };
    (need.warm.max(need.aged_in_use) + more).max(least).min(bounds.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: 1, max: 256, wait_max: Duration::from_millis(10) };
    /// 65,535 bytes of window for payloads of 1,500 bytes, each 150 ms.
    const FAR: Option<f64> = Some(65_535.0 / 1_500.0 / 0.15);
    /// 1,000 streams of 5 ms.
    const NEAR: Option<f64> = Some(200_000.0);

    fn wanted(warm: usize, held: usize, waited_ms: u64, per_second: Option<f64>) -> usize {
        let waited = Duration::from_millis(waited_ms);
        connections_wanted(Need { warm, held, waited, per_second, ..Need::default() }, BOUNDS)
    }

    #[test]
    fn what_waits_and_what_one_carries_decide() {
        for (warm, held, waited_ms, per_second, expected, why) in [
            (0, 0, 0, None, 1, "one stands by"),
            (0, 200, 900, None, 1, "the first is not waited for with others"),
            (3, 0, 0, FAR, 3, "nothing waits"),
            (1, 256, 0, FAR, 2, "window × round trip: no need to wait and see; doubled at most"),
            (8, 256, 0, FAR, 16, "doubled again"),
            (172, 256, 0, FAR, 256, "up to the bound"),
            (100, 20, 0, FAR, 106, "20 held are 6.9 windows' work within the wait"),
            (100, 2, 1, FAR, 100, "two are carried within the wait"),
            (1, 256, 2, NEAR, 1, "a near server with many streams is never short"),
            (1, 1, 10, NEAR, 2, "but one that waits too long is late, whatever the estimate"),
            (4, 256, 10, None, 5, "without an estimate one at a time"),
            (256, 256, 500, FAR, 256, "the bound"),
        ] {
            assert_eq!(wanted(warm, held, waited_ms, per_second), expected, "{why}");
        }
    }

    #[test]
    fn what_has_aged_is_replaced_as_far_as_it_is_in_use() {
        let aged =
            |warm, aged_in_use| connections_wanted(Need { warm, aged_in_use, ..Need::default() }, BOUNDS);
        assert_eq!(aged(0, 0), 1);
        assert_eq!(aged(0, 40), 40);
        assert_eq!(aged(25, 40), 40);
        assert_eq!(aged(40, 3), 40);
    }

    #[test]
    fn bounds_hold_even_if_they_are_odd() {
        let bounds = Bounds { min: 0, max: 1, wait_max: Duration::ZERO };
        assert_eq!(connections_wanted(Need::default(), bounds), 0);
        let need = Need { warm: 1, held: 5, per_second: Some(0.0), ..Need::default() };
        assert_eq!(connections_wanted(need, bounds), 1);
    }
}
