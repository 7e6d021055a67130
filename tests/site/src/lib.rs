//! What every installation under test has: keys, a simulator, paced traffic and the list of what was accepted, the ledger's
//! word after it. For the tests of the main path and of the fleet.

pub mod amqp;
pub mod books;
pub mod fleet;
pub mod keys;
pub mod load;
pub mod run;
pub mod site;
pub mod standby;
