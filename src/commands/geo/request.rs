//! What a command line of the searches asks for.
//!
//! Its words are judged in their order, as Redis does: where it begins with a member that is not there, that
//! is the error and not what stands behind it.

use super::super::sorted_sets::parse_score;
use super::{parse_point, parse_unit};
use crate::error::CommandError;
use crate::resp::Args;
use crate::types::SortedSet;
use crate::types::geo::{Area, Order, Point, Shape};

/// The options with the key under which the result is stored.
pub const STORE: &str = "STORE";
pub const STORE_DISTANCE: &str = "STOREDIST";

/// Where the options of GEORADIUS begin, and those of GEORADIUSBYMEMBER.
pub(super) const RADIUS_OPTIONS: i16 = 6;
pub(super) const MEMBER_OPTIONS: i16 = 5;

/// A command of this family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Search,
    SearchStore,
    /// GEORADIUS and GEORADIUSBYMEMBER; those that only read have no STORE.
    Radius {
        member: bool,
        stores: bool,
    },
}

impl Form {
    /// The argument with the key that is searched.
    pub(super) fn source(self) -> usize {
        if self == Form::SearchStore { 2 } else { 1 }
    }

    /// Where the options begin.
    fn options(self) -> usize {
        match self {
            Form::Search => 2,
            Form::SearchStore => 3,
            Form::Radius { member: true, .. } => MEMBER_OPTIONS as usize,
            Form::Radius { member: false, .. } => RADIUS_OPTIONS as usize,
        }
    }

    /// The argument with the key under which the result is stored, whether or not the rest of the line is right.
    pub(super) fn destination(self, args: &Args<'_>) -> Option<usize> {
        match self {
            Form::SearchStore => Some(1),
            Form::Radius { stores: true, .. } => {
                let mut destination = None;
                for_each_store(args, self.options(), |_, index| destination = Some(index));
                destination
            }
            Form::Search | Form::Radius { .. } => None,
        }
    }
}

/// The argument with the key of [`STORE`] or [`STORE_DISTANCE`] among the options of GEORADIUS from argument
/// `from` on. The last of several, since the last of all is the one that counts.
pub fn store_position(args: &Args<'_>, from: usize, word: &str) -> Option<usize> {
    let mut position = None;
    for_each_store(args, from, |option, index| {
        if option == word {
            position = Some(index);
        }
    });
    position
}

/// Visits [`STORE`] and [`STORE_DISTANCE`] among the options from argument `from` on, with the arguments that hold
/// their keys.
fn for_each_store(args: &Args<'_>, from: usize, mut visit: impl FnMut(&'static str, usize)) {
    let mut index = from;
    while index + 1 < args.len() {
        let option = [STORE, STORE_DISTANCE].into_iter().find(|option| args.is(index, option));
        if let Some(option) = option {
            visit(option, index + 1);
            index += 1;
        } else if args.is(index, "COUNT") {
            index += 1;
        }
        index += 1;
    }
}

/// A command line, understood.
pub(super) struct Request {
    pub(super) area: Area,
    pub(super) order: Order,
    /// As many are answered at most.
    pub(super) count: usize,
    /// As many are searched for at most.
    pub(super) limit: usize,
    pub(super) with_distance: bool,
    pub(super) with_hash: bool,
    pub(super) with_point: bool,
    pub(super) store_distance: bool,
}

/// What has been read of a command line.
struct Parser<'p, 'a> {
    args: &'p Args<'a>,
    form: Form,
    set: Option<&'p SortedSet>,
    center: Option<Point>,
    from_member: bool,
    from_point: bool,
    shape: Option<Shape>,
    unit_meters: f64,
    order: Order,
    count: Option<usize>,
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_point: bool,
    store_distance: bool,
}

impl Request {
    /// `set` is what is searched, if it is there; without it no member is looked for.
    pub(super) fn parse(
        args: &Args<'_>,
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<Request, CommandError> {
        let mut parser = Parser {
            args,
            form,
            set,
            center: None,
            from_member: false,
            from_point: false,
            shape: None,
            unit_meters: 1.0,
            order: Order::Found,
            count: None,
            any: false,
            with_distance: false,
            with_hash: false,
            with_point: false,
            store_distance: false,
        };
        parser.parse_radius()?;
        let mut index = form.options();
        while index < args.len() {
            index += 1 + parser.parse_option(index)?;
        }
        parser.finish()
    }
}

impl Parser<'_, '_> {
    /// What stands in front of the options of GEORADIUS and GEORADIUSBYMEMBER.
    fn parse_radius(&mut self) -> Result<(), CommandError> {
        let Form::Radius { member, .. } = self.form else { return Ok(()) };
        if !member {
            self.center = Some(parse_point(self.args, 2)?);
            return self.parse_circle(4);
        }
        if self.set.is_none() {
            // What the radius is does not matter then, not even whether it is one.
            return Ok(());
        }
        self.parse_member(2)?;
        self.parse_circle(3)
    }

    fn parse_member(&mut self, index: usize) -> Result<(), CommandError> {
        if let Some(set) = self.set {
            let score = set.score(self.args.get(index)).ok_or(CommandError::NoSuchPlace)?;
            self.center = Some(Point::of_score(score));
        }
        Ok(())
    }

    /// A radius at argument `index`, and its unit.
    fn parse_circle(&mut self, index: usize) -> Result<(), CommandError> {
        let radius = parse_score(self.args.get(index)).map_err(|_| CommandError::RadiusNotFloat)?;
        if radius < 0.0 {
            return Err(CommandError::RadiusNegative);
        }
        self.unit_meters = parse_unit(self.args, index + 1)?;
        self.shape = Some(Shape::Circle { radius });
        Ok(())
    }

    /// A width, a height and their unit.
    fn parse_rectangle(&mut self, index: usize) -> Result<(), CommandError> {
        let width = parse_score(self.args.get(index)).map_err(|_| CommandError::WidthNotFloat)?;
        let height = parse_score(self.args.get(index + 1)).map_err(|_| CommandError::HeightNotFloat)?;
        if width < 0.0 || height < 0.0 {
            return Err(CommandError::SidesNegative);
        }
        self.unit_meters = parse_unit(self.args, index + 2)?;
        self.shape = Some(Shape::Rectangle { width, height });
        Ok(())
    }

    /// An option; how many arguments behind it are its own.
    fn parse_option(&mut self, index: usize) -> Result<usize, CommandError> {
        let args = self.args;
        let behind = args.len() - index - 1;
        let searches = matches!(self.form, Form::Search | Form::SearchStore);
        let stores = matches!(self.form, Form::Radius { stores: true, .. });
        match () {
            _ if args.is(index, "WITHDIST") => self.with_distance = true,
            _ if args.is(index, "WITHHASH") => self.with_hash = true,
            _ if args.is(index, "WITHCOORD") => self.with_point = true,
            _ if args.is(index, "ANY") => self.any = true,
            _ if args.is(index, "ASC") => self.order = Order::Nearest,
            _ if args.is(index, "DESC") => self.order = Order::Farthest,
            _ if args.is(index, "COUNT") && behind >= 1 => {
                let count = usize::try_from(args.integer(index + 1)?).ok().filter(|&count| count > 0);
                self.count = Some(count.ok_or(CommandError::GeoCountNotPositive)?);
                return Ok(1);
            }
            _ if stores && behind >= 1 && args.is(index, STORE) => {
                self.store_distance = false;
                return Ok(1);
            }
            _ if stores && behind >= 1 && args.is(index, STORE_DISTANCE) => {
                self.store_distance = true;
                return Ok(1);
            }
            _ if self.form == Form::SearchStore && args.is(index, STORE_DISTANCE) => {
                self.store_distance = true
            }
            _ if searches => return self.parse_area(index, behind),
            _ => return Err(CommandError::Syntax),
        }
        Ok(0)
    }

    /// An option that says where or how far to search; `behind` it there are so many arguments.
    fn parse_area(&mut self, index: usize, behind: usize) -> Result<usize, CommandError> {
        let args = self.args;
        let is_circle = matches!(self.shape, Some(Shape::Circle { .. }));
        let is_rectangle = matches!(self.shape, Some(Shape::Rectangle { .. }));
        match () {
            _ if args.is(index, "FROMMEMBER") && behind >= 1 && !self.from_point => {
                self.parse_member(index + 1)?;
                self.from_member = true;
                Ok(1)
            }
            _ if args.is(index, "FROMLONLAT") && behind >= 2 && !self.from_member => {
                self.center = Some(parse_point(args, index + 1)?);
                self.from_point = true;
                Ok(2)
            }
            _ if args.is(index, "BYRADIUS") && behind >= 2 && !is_rectangle => {
                self.parse_circle(index + 1)?;
                Ok(2)
            }
            _ if args.is(index, "BYBOX") && behind >= 3 && !is_circle => {
                self.parse_rectangle(index + 1)?;
                Ok(3)
            }
            _ => Err(CommandError::Syntax),
        }
    }

    /// What the options must not be together, and must be.
    fn finish(self) -> Result<Request, CommandError> {
        let searches = matches!(self.form, Form::Search | Form::SearchStore);
        let shows_more = self.with_distance || self.with_hash || self.with_point;
        if shows_more && self.form.destination(self.args).is_some() {
            let command = if searches { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(CommandError::StoresNoMore(command));
        }
        let name = || String::from_utf8_lossy(self.args.get(0)).into_owned();
        if searches && !self.from_member && !self.from_point {
            return Err(CommandError::NoCenter(name()));
        }
        if searches && self.shape.is_none() {
            return Err(CommandError::NoShape(name()));
        }
        if self.any && self.count.is_none() {
            return Err(CommandError::AnyWithoutCount);
        }
        // The nearest ones, if not all are wanted and nothing else is said.
        let ordered = self.order != Order::Found || self.count.is_none() || self.any;
        let count = self.count.unwrap_or(usize::MAX);
        Ok(Request {
            area: Area {
                center: self.center.unwrap_or_default(),
                shape: self.shape.unwrap_or(Shape::Circle { radius: 0.0 }),
                unit_meters: self.unit_meters,
            },
            order: if ordered { self.order } else { Order::Nearest },
            count,
            limit: if self.any { count } else { usize::MAX },
            with_distance: self.with_distance,
            with_hash: self.with_hash,
            with_point: self.with_point,
            store_distance: self.store_distance,
        })
    }
}
