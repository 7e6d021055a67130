//! What an IM backend links: submit a notification, get a confirmation
