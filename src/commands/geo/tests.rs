//! Tests of the commands about places; what is answered was taken from redis-server 8.0.6.

use crate::commands::transcript::{replay, replay_resp3};
use crate::engine::Engine;

#[test]
fn places_are_added_and_asked_about() {
    replay(
        r#"
            > GEOADD k NX CH 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
            (integer) 2
            > GEOADD k XX CH 13.4 38.1 Palermo 1 1 Nowhere
            (integer) 1
            > GEOADD k 13.361389 38.115556 Palermo
            (integer) 0
            > GEOADD k NX XX 1 1 a
            (error) ERR syntax error
            > GEOADD none NX CH NX
            (error) ERR syntax error
            > EXISTS none
            (integer) 0
            > GEOADD k GT 1 1 a
            (error) ERR syntax error
            > GEOADD k x 1 a
            (error) ERR value is not a valid float
            > GEOADD k 181 1 a
            (error) ERR invalid longitude,latitude pair 181.000000,1.000000
            > GEOADD k 1 -inf a
            (error) ERR invalid longitude,latitude pair 1.000000,-inf
            > GEODIST k Palermo Catania
            "166274.1516"
            > GEODIST k Palermo Catania KM
            "166.2742"
            > GEODIST k Palermo Catania yd
            (error) ERR unsupported unit provided. please use M, KM, FT, MI
            > GEODIST k Palermo Catania km m
            (error) ERR syntax error
            > GEODIST k Palermo nosuch
            (nil)
            > GEOHASH k Palermo nosuch
            1) "sqc8b49rny0"
            2) (nil)
            > GEOPOS k Palermo nosuch
            1) 1) "13.361389338970184"
               2) "38.1155563954963"
            2) (nil)
            > GEOPOS missing a
            1) (nil)
            > SET s 1
            OK
            > GEOPOS s a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > GEODIST s a b yd
            (error) ERR unsupported unit provided. please use M, KM, FT, MI
            "#,
    );
}

#[test]
fn places_are_searched_for() {
    replay(
        r#"
            > GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania 12.5 41.9 Rome
            (integer) 3
            > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km
            1) "Palermo"
            2) "Catania"
            > GEOSEARCH k FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST WITHHASH WITHCOORD
            1) 1) "Catania"
               2) "56.4413"
               3) (integer) 3479447370796909
               4) 1) "15.087267458438873"
                  2) "37.50266842333162"
            2) 1) "Palermo"
               2) "190.4424"
               3) (integer) 3479099956230698
               4) 1) "13.361389338970184"
                  2) "38.1155563954963"
            > GEOSEARCH k FROMMEMBER Palermo BYBOX 400 400 km DESC
            1) "Catania"
            2) "Palermo"
            > GEOSEARCH k FROMMEMBER Palermo BYRADIUS 1000 km COUNT 2
            1) "Palermo"
            2) "Catania"
            > GEOSEARCH k FROMMEMBER Palermo BYRADIUS 1000 km COUNT 1 ANY
            1) "Palermo"
            > GEORADIUS k 15 37 200 km WITHDIST
            1) 1) "Palermo"
               2) "190.4424"
            2) 1) "Catania"
               2) "56.4413"
            > GEORADIUSBYMEMBER_RO k Rome 500 km ASC
            1) "Rome"
            2) "Palermo"
            > GEORADIUS k 15 37 200 km STOREDIST d
            (integer) 2
            > ZRANGE d 0 -1 WITHSCORES
            1) "Catania"
            2) "56.4412578701582"
            3) "Palermo"
            4) "190.44242984775784"
            > GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km
            (integer) 2
            > ZRANGE d 0 -1 WITHSCORES
            1) "Palermo"
            2) "3479099956230698"
            3) "Catania"
            4) "3479447370796909"
            > GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 1 km
            (integer) 0
            > EXISTS d
            (integer) 0
            "#,
    );
}

#[test]
fn searches_are_checked() {
    replay(
        r#"
            > GEOADD k 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
            (integer) 2
            > GEORADIUS_RO k 15 37 200 km STORE d
            (error) ERR syntax error
            > GEORADIUS k 15 37 200 km STORE d WITHDIST
            (error) ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            > GEOSEARCHSTORE d k FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST
            (error) ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options
            > GEOSEARCH k FROMMEMBER nosuch BYRADIUS x m
            (error) ERR could not decode requested zset member
            > GEOSEARCH missing FROMMEMBER nosuch BYRADIUS x m
            (error) ERR need numeric radius
            > GEORADIUSBYMEMBER missing nosuch x m
            (empty array)
            > GEOSEARCH k FROMLONLAT 1 1 BYRADIUS -1 m
            (error) ERR radius cannot be negative
            > GEOSEARCH k FROMLONLAT 1 1 BYBOX -1 1 m
            (error) ERR height or width cannot be negative
            > GEOSEARCH k FROMLONLAT 1 1 BYBOX x 1 m
            (error) ERR need numeric width
            > GEOSEARCH k FROMLONLAT 1 1 BYBOX 1 x m
            (error) ERR need numeric height
            > GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0
            (error) ERR COUNT must be > 0
            > GEOSEARCH k FROMLONLAT 1 1 BYRADIUS 1 m ANY
            (error) ERR the ANY argument requires COUNT argument
            > GEOSEARCH k FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 m
            (error) ERR syntax error
            > GEOSEARCH k FROMLONLAT 1 1 ASC ASC ASC
            (error) ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH
            > GEOSEARCH k BYRADIUS 1 m ASC ASC ASC
            (error) ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH
            > COMMAND GETKEYS GEORADIUS k 1 2 3 m STORE d1 STOREDIST d2
            1) "k"
            2) "d1"
            3) "d2"
            > COMMAND GETKEYS GEORADIUS k 1 2 3 m STORE d1 STORE
            1) "k"
            2) "d1"
            "#,
    );
}

#[test]
fn coordinates_are_doubles_in_resp3() {
    replay_resp3(
        r#"
            > GEOADD k 13.361389 38.115556 Palermo
            (integer) 1
            > GEOPOS k Palermo nosuch
            1) 1) (double) 13.361389338970184
               2) (double) 38.1155563954963
            2) (nil)
            > GEODIST k Palermo Palermo
            "0.0000"
            "#,
    );
}

/// Scores, geohashes, coordinates and distances to the last digit.
#[test]
fn digits_are_those_of_redis() {
    let mut engine = Engine::for_console();
    let lines = include_str!("../../../tests/data/geo.txt").lines().filter(|line| !line.starts_with('#'));
    let mut last = "m0".to_owned();
    for (number, line) in lines.enumerate() {
        let [lon, lat, score, hash, at_lon, at_lat, meters, other, unit, distance] =
            line.split(' ').collect::<Vec<_>>()[..]
        else {
            panic!("{line}")
        };
        let member = format!("m{number}");
        engine.run(&["GEOADD", "g", lon, lat, &member]);
        assert_eq!(engine.run(&["ZSCORE", "g", &member]), format!("\"{score}\""), "{line}");
        assert_eq!(engine.run(&["GEOHASH", "g", &member]), format!("1) \"{hash}\""), "{line}");
        let place = format!("1) 1) \"{at_lon}\"\n   2) \"{at_lat}\"");
        assert_eq!(engine.run(&["GEOPOS", "g", &member]), place, "{line}");
        assert_eq!(engine.run(&["GEODIST", "g", &member, &last]), format!("\"{meters}\""), "{line}");
        assert_eq!(engine.run(&["GEODIST", "g", &member, other, unit]), format!("\"{distance}\""), "{line}");
        last = member;
    }
    assert_eq!(last, "m49");
}

/// Those that are equally far are answered in Redis' order, which depends on how many are wanted.
#[test]
fn equally_far_members_come_in_the_order_of_redis() {
    let mut engine = Engine::for_console();
    for number in 0..30 {
        let lon = ["10", "11", "12"][(number * number + number / 3) % 3];
        engine.run(&["GEOADD", "g", lon, "20", &format!("m{number:02}")]);
    }
    let mut search = |count: &str| {
        let line = ["GEOSEARCH", "g", "FROMLONLAT", "10", "20", "BYRADIUS", "1000", "km", "COUNT", count];
        engine.run(&line).split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(search("3"), "m07 m09 m16");
    assert_eq!(search("12"), "m07 m09 m16 m17 m00 m18 m25 m26 m27 m08 m29 m12");
    assert_eq!(
        search("30"),
        "m00 m07 m08 m09 m16 m17 m18 m25 m26 m27 m01 m02 m03 m10 m11 m12 m19 m20 m21 m28 m29 m04 m05 m06 m13 m14 m15 m22 m23 m24"
    );
}
