//! Everything that can go wrong, as closed enums with the exact texts that go over the wire.
//!
//! Clients match on these texts, so they are Redis's to the letter and stand in this one file.
