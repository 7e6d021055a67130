//! The HTTP front door for backends that link no producer-lib, and for device receipts
