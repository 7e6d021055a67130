//! What is done to a fleet: a queue handed over, a process killed, everybody started again.

use skein_core::fleet::Wanted;
use skein_tests::until;

use crate::{
    rig::{REST_LIMIT, Rig},
    takeover::Fault,
};

impl Rig {
    /// Moves a queue to a sender; gives the fault that this is to whoever sends.
    pub async fn hand_over(&self, queue: u16, to: usize) -> Fault {
        let owner = self.owners().await[&queue].clone().expect("a queue with an owner");
        self.reaches_apns(to).await;
        let from = self.senders.iter().position(|sender| sender.name == owner).unwrap();
        let fault = self.fault(from, vec![queue]);
        self.wish(Wanted::Move { queue: Self::queue(queue), to: self.member(to) }).await;
        let to = &self.senders[to].name;
        let moved = async || (self.owners().await[&queue].as_ref() == Some(to)).then_some(());
        until("the queue to be handed over", REST_LIMIT, moved).await.unwrap();
        fault
    }

    /// `kill -9` of a sender.
    pub async fn kill(&mut self, number: usize) -> Fault {
        let queues = self.queues_of(number as u8).await;
        let mut fault = self.fault(number, queues);
        fault.at_ns = self.senders[number].kill();
        fault
    }

    /// `kill -9` of the monitor that leads; gives its number.
    pub async fn kill_leader(&mut self) -> usize {
        let name = self.leader().await;
        let number = self.monitors.iter().position(|monitor| monitor.name == name).unwrap();
        self.monitors[number].kill();
        number
    }

    /// Starts who does not run, and waits until all senders are members.
    pub async fn everybody_back(&mut self) {
        for number in 0..self.monitors.len() {
            if self.monitors[number].child.is_none() {
                self.start_monitor(number);
            }
        }
        for sender in self.senders.iter_mut().filter(|sender| !sender.is_running()) {
            sender.start();
        }
        self.all_present().await;
    }
}
