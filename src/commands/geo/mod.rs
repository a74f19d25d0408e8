//! The geo commands: places as members of sorted sets (`types/geo`).
//!
//! | file | |
//! | --- | --- |
//! | `places.rs` | GEOADD, GEOPOS, GEODIST, GEOHASH |
//! | `request.rs` | what a command line of the searches asks for |
//! | `search.rs` | GEOSEARCH, GEOSEARCHSTORE, GEORADIUS and its kin |

mod places;
mod request;
mod search;
#[cfg(test)]
mod tests;

use super::sorted_sets::parse_score;
use super::{Begin, Command, DataFunction, Find, Group, KeySpec, Run, category, flag, key_flag};
use crate::error::CommandError;
use crate::resp::Args;
use crate::types::geo::Point;

pub(super) use request::{STORE, STORE_DISTANCE, store_position};

const READ: u16 = key_flag::RO | key_flag::ACCESS;
const READ_KEY: &[KeySpec] = &[KeySpec::one(1, READ)];
const GROW: u32 = flag::WRITE | flag::DENYOOM;

const fn geo(name: &'static str, arity: i16, run: Run) -> Command {
    Command::new(name, arity, run).group(Group::Geo).since("3.2.0").categories(category::GEO).keys(READ_KEY)
}

const fn one(name: &'static str, arity: i16, function: DataFunction) -> Command {
    geo(name, arity, Run::OneShard(function))
}

const fn store_key(word: &'static str, from: i16) -> KeySpec {
    let find = Find::Range { last: 0, step: 1, limit: 0 };
    let flags = key_flag::OW | key_flag::UPDATE;
    KeySpec { begin: Begin::Keyword { word, from }, find, flags, notes: "" }
}

const RADIUS_KEYS: &[KeySpec] = &[
    KeySpec::one(1, READ),
    store_key(STORE, request::RADIUS_OPTIONS),
    store_key(STORE_DISTANCE, request::RADIUS_OPTIONS),
];
const MEMBER_KEYS: &[KeySpec] = &[
    KeySpec::one(1, READ),
    store_key(STORE, request::MEMBER_OPTIONS),
    store_key(STORE_DISTANCE, request::MEMBER_OPTIONS),
];

const SEARCH_COST: &str =
    "O(N+log(M)), N being the number of members in the cells around the area and M of the sorted set.";

pub const COMMANDS: &[Command] = &[
    one("geoadd", -5, places::geoadd)
        .flags(GROW)
        .keys(&[KeySpec::one(1, key_flag::RW | key_flag::UPDATE)])
        .docs(
            "Adds places to a sorted set, which is created if it does not exist.",
            "O(log(N)) for each place, N being the number of members.",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
        ),
    one("geopos", -2, places::geopos).flags(flag::READONLY).docs(
        "Returns the longitudes and latitudes of members.",
        "O(1) for each member.",
        "key [member [member ...]]",
    ),
    one("geodist", -4, places::geodist).flags(flag::READONLY).docs(
        "Returns the distance between two members.",
        "O(1)",
        "key member1 member2 [M | KM | FT | MI]",
    ),
    one("geohash", -2, places::geohash).flags(flag::READONLY).docs(
        "Returns the places of members as geohash texts.",
        "O(1) for each member.",
        "key [member [member ...]]",
    ),
    search::GEOSEARCH.since("6.2.0").flags(flag::READONLY).docs(
        "Searches a sorted set for the members in a circle or a rectangle.",
        SEARCH_COST,
        "key <FROMMEMBER member | FROMLONLAT longitude latitude> \
         <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> \
         [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
    ),
    search::GEOSEARCHSTORE
        .since("6.2.0")
        .flags(GROW)
        .keys(&[KeySpec::one(1, key_flag::OW | key_flag::UPDATE), KeySpec::one(2, READ)])
        .docs(
            "Searches a sorted set for the members in a circle or a rectangle, and stores them.",
            SEARCH_COST,
            "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> \
             <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> \
             [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
        ),
    search::GEORADIUS
        .flags(GROW)
        .keys(RADIUS_KEYS)
        .deprecated("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")
        .docs(
            "Searches a sorted set for the members in a circle, and optionally stores them.",
            SEARCH_COST,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
        ),
    search::GEORADIUS_RO
        .since("3.2.10")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")
        .docs(
            "Searches a sorted set for the members in a circle.",
            SEARCH_COST,
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] \
             [COUNT count [ANY]] [ASC | DESC]",
        ),
    search::GEORADIUSBYMEMBER
        .flags(GROW)
        .keys(MEMBER_KEYS)
        .deprecated(
            "6.2.0",
            "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
        )
        .docs(
            "Searches a sorted set for the members in a circle around one, and optionally stores them.",
            SEARCH_COST,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
             [ASC | DESC] [STORE key | STOREDIST key]",
        ),
    search::GEORADIUSBYMEMBER_RO
        .since("3.2.10")
        .flags(flag::READONLY)
        .deprecated("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")
        .docs(
            "Searches a sorted set for the members in a circle around one.",
            SEARCH_COST,
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] \
             [ASC | DESC]",
        ),
];

/// The place of which the longitude stands at argument `index`, and the latitude behind it.
fn parse_point(args: &Args<'_>, index: usize) -> Result<Point, CommandError> {
    let (longitude, latitude) = (parse_score(args.get(index))?, parse_score(args.get(index + 1))?);
    Point::new(longitude, latitude)
        .ok_or_else(|| CommandError::NoPlace(format!("{longitude:.6},{latitude:.6}")))
}

/// Meters of a unit of lengths.
fn parse_unit(args: &Args<'_>, index: usize) -> Result<f64, CommandError> {
    match () {
        _ if args.is(index, "M") => Ok(1.0),
        _ if args.is(index, "KM") => Ok(1000.0),
        _ if args.is(index, "FT") => Ok(0.3048),
        _ if args.is(index, "MI") => Ok(1609.34),
        _ => Err(CommandError::UnknownUnit),
    }
}
