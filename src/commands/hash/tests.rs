//! Fields that expire, by the clock of a console.

use crate::commands::transcript::replay;

/// As redis-server 8.0.6 answers.
#[test]
fn times_of_fields() {
    replay(
        r#"
        > HSET k a 1 b 2 c 3
        (integer) 3
        > HPEXPIREAT k 4000000000000 FIELDS 2 a zz
        1) (integer) 1
        2) (integer) -2
        > OBJECT ENCODING k
        "listpackex"
        > HPEXPIREAT k 4000000000000 NX FIELDS 2 a b
        1) (integer) 0
        2) (integer) 1
        > HPEXPIREAT k 3999999999001 GT FIELDS 2 a c
        1) (integer) 0
        2) (integer) 0
        > HPEXPIREAT k 3999999999001 lt FIELDS 2 a c
        1) (integer) 1
        2) (integer) 1
        > HEXPIRETIME k FIELDS 3 a b zz
        1) (integer) 4000000000
        2) (integer) 4000000000
        3) (integer) -2
        > HPEXPIRETIME k FIELDS 1 a
        1) (integer) 3999999999001
        > HPERSIST k FIELDS 3 b b zz
        1) (integer) 1
        2) (integer) -1
        3) (integer) -2
        > HGETEX k EX 100 FIELDS 2 b zz
        1) "2"
        2) (nil)
        > HTTL k FIELDS 1 b
        1) (integer) 100
        > HSET k b 5
        (integer) 0
        > HPTTL k FIELDS 1 b
        1) (integer) -1
        > HINCRBY k a 5
        (integer) 6
        > HPEXPIRETIME k FIELDS 1 a
        1) (integer) 3999999999001
        > HSETEX k FNX EX 10 FIELDS 2 d 1 a 2
        (integer) 0
        > HSETEX k FXX KEEPTTL FIELDS 1 a 2
        (integer) 1
        > HPEXPIRETIME k FIELDS 1 a
        1) (integer) 3999999999001
        > HSETEX k PXAT 1 FIELDS 2 a 1 x 2
        (integer) 1
        > HGETALL k
        1) "c"
        2) "3"
        3) "b"
        4) "5"
        > HEXPIRE k 0 FIELDS 2 b c
        1) (integer) 2
        2) (integer) 2
        > EXISTS k
        (integer) 0
        "#,
    );
}

#[test]
fn what_is_wrong_is_named() {
    replay(
        r#"
        > SET s x
        OK
        > HEXPIRE s x FOO 1 a
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > HEXPIRE k -1 FOO 1 a
        (error) ERR invalid expire time, must be >= 0
        > HPEXPIREAT k 70368744177664 FIELDS 1 a
        (error) ERR invalid expire time in 'hpexpireat' command
        > HPEXPIREAT k 70368744177663 FIELDS 1 a
        1) (integer) -2
        > HEXPIRE k 10 NX XX FIELDS 1 a
        (error) ERR Mandatory argument FIELDS is missing or not at the right position
        > HEXPIRE k 10 FIELDS 0 a
        (error) ERR Parameter `numFields` should be greater than 0
        > HTTL k FIELDS 0 a
        (error) ERR Number of fields must be a positive integer
        > HPERSIST k FIELDS 2 a
        (error) ERR The `numfields` parameter must match the number of arguments
        > HGETEX k EX x FOO
        (error) ERR value is not an integer or out of range
        > HGETEX k PERSIST FIELDS 1
        (error) ERR The `numfields` parameter must match the number of arguments
        > HGETEX k EX 10 FIELDS
        (error) ERR wrong number of arguments for 'hgetex' command
        > HSETEX s FOO FIELDS 1 a 1
        (error) ERR unknown argument: FOO
        > HSETEX s FIELDS 1 a 1
        (error) WRONGTYPE Operation against a key holding the wrong kind of value
        > HSETEX k FNX FXX FIELDS 1 a 1
        (error) ERR Only one of FXX or FNX arguments can be specified
        > HSETEX k EX 1 KEEPTTL FIELDS 1 a 1
        (error) ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified
        > HSETEX k FIELDS 4294967297 a 1
        (error) ERR invalid number of fields
        > HSETEX k FIELDS 1 a 1 b
        (error) ERR wrong number of arguments for 'hsetex' command
        "#,
    );
}
