use proptest::prelude::*;

use super::*;
use crate::types::SortedSet;
use crate::types::sorted_set::Limits;

const LIMITS: Limits = Limits { entries: 128, member_bytes: 64 };

#[test]
fn the_places_of_the_manual() {
    let palermo = Point { longitude: 13.361389, latitude: 38.115556 };
    let catania = Point { longitude: 15.087269, latitude: 37.502669 };
    assert_eq!(palermo.score(), 3479099956230698.0);
    assert_eq!(catania.score(), 3479447370796909.0);
    let (palermo, catania) = (Point::of_score(palermo.score()), Point::of_score(catania.score()));
    assert_eq!((palermo.longitude * 1e9) as i64, 13361389338);
    assert_eq!(format!("{:.4}", palermo.distance(catania)), "166274.1516");
    assert_eq!(&palermo.geohash(), b"sqc8b49rny0");
    assert_eq!(&catania.geohash(), b"sqdtr74hyu0");
}

#[test]
fn scores_that_are_no_places_are_read_all_the_same() {
    for score in [-1.0, -5.5, 1e15, 9007199254740993.0, 1e19, 1e300, f64::INFINITY, f64::NEG_INFINITY, -1e300]
    {
        let point = Point::of_score(score);
        assert!(Point::new(point.longitude, point.latitude).is_some(), "{score}: {point:?}");
    }
    assert!(Point::new(180.0, 85.05112878).is_some() && Point::new(-180.0, -85.05112878).is_some());
    for (longitude, latitude) in [(180.1, 0.0), (0.0, 85.06), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
        assert_eq!(Point::new(longitude, latitude), None);
    }
}

fn place() -> impl Strategy<Value = (f64, f64)> {
    (-180.0..=180.0f64, -85.05..=85.05f64)
}

proptest! {
    #[test]
    fn bits_are_interleaved_and_back(x: u32, y: u32) {
        prop_assert_eq!(deinterleave(interleave(x, y)), (x, y));
        let naive = (0..32).fold(0u64, |bits, n| {
            bits | (y as u64 >> n & 1) << (2 * n) | (x as u64 >> n & 1) << (2 * n + 1)
        });
        prop_assert_eq!(interleave(x, y), naive);
    }

    #[test]
    fn a_score_is_near_its_place((longitude, latitude) in place()) {
        let point = Point { longitude, latitude };
        prop_assert!(Point::of_score(point.score()).distance(point) < 0.7);
    }

    #[test]
    fn a_search_finds_what_is_in_the_area(
        center in place(), places in prop::collection::vec(place(), 1..60),
        near in prop::collection::vec((-1.2..1.2f64, -1.2..1.2f64), 1..60), exponent in 1.0..6.0f64, square: bool,
    ) {
        // Away from the meridian where longitudes begin anew, and from the poles: there searches end.
        let center = Point { longitude: center.0 * 0.5, latitude: center.1 * 0.7 };
        let radius = 10f64.powf(exponent);
        let degrees = radius / 111_000.0;
        let near = near.iter().map(|(east, north)| {
            let latitude = (center.latitude + north * degrees).clamp(-85.0, 85.0);
            ((center.longitude + east * degrees / radians(latitude).cos()).clamp(-180.0, 180.0), latitude)
        });
        let mut set = SortedSet::new();
        for (index, (longitude, latitude)) in places.iter().copied().chain(near).enumerate() {
            set.insert(format!("{index}").as_bytes(), Point { longitude, latitude }.score(), LIMITS);
        }
        let shape = match square {
            true => Shape::Rectangle { width: 2.0 * radius, height: 2.0 * radius },
            false => Shape::Circle { radius },
        };
        let area = Area { center, shape, unit_meters: 1.0 };
        let mut found = search(&set, &area, usize::MAX);
        let judge = shape::Judge::new(&area);
        let mut expected: Vec<(&[u8], f64)> = set
            .iter(0..set.len())
            .filter_map(|(member, score)| Some((member, judge.distance(Point::of_score(score))?)))
            .collect();
        expected.sort_by(|one, other| one.1.total_cmp(&other.1));
        let some = search(&set, &area, 3);
        prop_assert_eq!(some.len(), expected.len().min(3));
        prop_assert!(some.iter().zip(&found).all(|(one, other)| one.member == other.member));
        let mut nearest = found.clone();
        arrange(&mut nearest, Order::Nearest, 5);
        arrange(&mut found, Order::Farthest, usize::MAX);
        let distances = |found: &[Found<'_>]| found.iter().map(|found| found.distance).collect::<Vec<f64>>();
        let wanted: Vec<f64> = expected.iter().map(|&(_, distance)| distance).collect();
        prop_assert_eq!(distances(&nearest), &wanted[..wanted.len().min(5)]);
        found.reverse();
        prop_assert_eq!(distances(&found), wanted);
    }
}
