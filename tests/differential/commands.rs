//! What is sent: a line for every form of every command (the notation is in `grammar.rs`), and what changed since 7.0.

/// The commands of this server. Weights keep strings and keys in front: the rest would only ever meet empty databases.
pub(crate) const TABLE: &str = "
    # Strings.
    40 SET <key> <value> [ <lasting-expiry> / KEEPTTL / keepttl ] [ NX / XX / nx ] [ GET / get ]
    4 SET <key> <value> { NX|XX|GET|KEEPTTL|get|EX|nosuch }
    15 GET <key>
    6 GETSET <key> <value>
    6 GETDEL <key>
    6 GETEX <key> [ <expiry> / PERSIST / PERSIST <expiry> / <expiry> PERSIST ]
    6 SETNX <key> <value>
    4 SETEX <key> <seconds> <value>
    4 PSETEX <key> <milliseconds> <value>
    8 MSET { <key> <value> }
    3 MSETNX { <key> <value> }
    8 MGET { <key> }
    14 INCR|DECR <key>
    14 INCRBY|DECRBY <key> <number>
    12 INCRBYFLOAT <key> <float>
    8 APPEND <key> <value>
    6 STRLEN <key>
    10 GETRANGE|SUBSTR <key> <number> <number>
    6 SETRANGE <key> <offset> <value>
    5 LCS <key> <key> [ LEN / IDX / IDX WITHMATCHLEN / IDX MINMATCHLEN <number> WITHMATCHLEN / LEN IDX / MINMATCHLEN ]

    # Bitmaps, of strings that are theirs and of any. BITFIELD is not spoiled: it takes any number for the place of a bit,
    # and a string of half a gigabyte would only take time.
    16 SETBIT <bits> <bit> 0|1|0|1|2|x
    2 SETBIT <key> <bit> 0|1
    8 GETBIT <bits> <bit>
    2 GETBIT <key> <bit>
    8 BITCOUNT <bits> [ <index> <index> / <bit> <bit> BIT|bit|byte|nosuch / <number> <number> / <number> <number> BIT / 0 ]
    10 BITPOS <bits> 0|1|0|1|2 [ <index> / <index> <index> / <bit> <bit> BIT|byte|nosuch / <number> <number> / <number> <number> BIT ]
    2 BITCOUNT|BITPOS <key> 1 [ <number> ]
    8 BITOP AND|OR|XOR|xor|nosuch <bits> { <bits> }
    4 BITOP NOT|not <bits> <bits> [ <bits> ]
    2 BITOP AND|OR|XOR <bits> <key> [ <key> ]
    20 !BITFIELD <bits> { <field-step> }
    2 !BITFIELD <key> { <field-step> }
    6 BITFIELD_RO <bits> { GET <field> <bit> }
    1 BITFIELD_RO <bits> [ SET <field> <bit> <number> ] [ OVERFLOW SAT|nosuch ] [ nosuch ]
    2 SET <bits> <value>
    2 GET|STRLEN <bits>
    2 DEL <bits>
    2 OBJECT ENCODING <bits>

    # HyperLogLogs: their bytes are Redis'.
    20 PFADD <hll> { <element> }
    6 PFADD <hll> { <number> }
    2 PFADD <hll>
    1 PFADD <key> [ <element> ]
    6 PFCOUNT <hll>
    4 PFCOUNT <hll> { <hll> }
    6 PFMERGE <hll> [ <hll> / <hll> <hll> ]
    12 GET <hll>
    2 STRLEN <hll>
    1 OBJECT ENCODING <hll>
    4 PFDEBUG DECODE|ENCODING|encoding|nosuch <hll>
    1 PFDEBUG TODENSE|GETREG <hll>
    1 PFDEBUG ENCODING|GETREG <key>
    1 !DEL <hll>
    2 !COPY <hll> <hll> REPLACE
    2 !SET <hll> <corrupt-hll>
    1 !APPEND <hll> <run>

    # Lists. Those that wait are not spoiled: they could wait for ever.
    16 LPUSH|RPUSH <list> { <element> }
    4 LPUSHX|RPUSHX <list> { <element> }
    8 LPOP|RPOP <list> [ 0 / 1 / 2 / 3 / 10 / -1 / x ]
    8 LRANGE <list> <index> <index>
    8 LRANGE <list> 0 -1
    3 LLEN <list>
    4 LINDEX <list> <index>
    4 LSET <list> <index> <element>
    5 LINSERT <list> BEFORE|AFTER|after|nosuch <element> <element>
    4 LREM <list> <index> <element>
    3 LTRIM <list> <index> <index>
    6 LPOS <list> <element> [ RANK <index> ] [ COUNT <index> ] [ MAXLEN <index> ]
    6 LMOVE <list> <list> LEFT|RIGHT|left|up LEFT|RIGHT
    4 RPOPLPUSH <list> <list>
    5 LMPOP ( 1 <list> / 2 <list> <list> / 0 <list> / 3 <list> <list> / x <list> ) LEFT|RIGHT|nosuch [ COUNT 1|2|5|0|x ]
    2 !BLPOP|BRPOP { <list> } 0.001|0.002|x|-1|nan
    1 !BLMOVE <list> <list> LEFT|RIGHT|up LEFT|RIGHT 0.001|x|-1
    1 !BRPOPLPUSH <list> <list> 0.001|x|-1
    1 !BLMPOP 0.001|x|-1 ( 1 <list> / 2 <list> <list> / 0 <list> ) LEFT|RIGHT|nosuch [ COUNT 1|2|0 ]
    4 OBJECT ENCODING <list>
    4 DEL|UNLINK { <list> }
    3 TYPE <list>
    3 RENAME|RENAMENX <list> <list>
    3 COPY <list> <list> [ REPLACE ]
    2 EXPIRE <list> 100000
    1 DEBUG DIGEST-VALUE { <list> }
    1 DEBUG OBJECT <list> => kind
    1 DUMP <list> => kind

    # Sets.
    16 SADD <set> { <element> }
    6 SREM <set> { <element> }
    3 SCARD <set>
    6 SMEMBERS <set> => any-order
    4 SISMEMBER <set> <element>
    3 SMISMEMBER <set> { <element> }
    5 SMOVE <set> <set> <element>
    5 SINTER|SUNION|SDIFF { <set> } => any-order
    6 SINTERSTORE|SUNIONSTORE|SDIFFSTORE <set> { <set> }
    4 SINTERCARD ( 1 <set> / 2 <set> <set> / 0 <set> / 3 <set> <set> / x <set> ) [ LIMIT 0|1|2|-1|x ]
    1 !SPOP <set> 0|1000|-1|x => any-order
    2 !SRANDMEMBER <set> [ 0 / 1 / 1000 / -2 / x ] => kind
    3 !SSCAN <set> <cursor> COUNT 1000000 [ MATCH a*|[12]* ] => whole-scan
    1 !SSCAN <set> 0 ( COUNT 0 / COUNT x / COUNT / nosuch / NOVALUES )
    4 OBJECT ENCODING <set>
    3 DEL|UNLINK|TYPE <set>
    2 COPY <set> <set> [ REPLACE ]
    1 DEBUG DIGEST-VALUE { <set> }
    1 DUMP <set> => kind

    # Hashes.
    14 HSET <hash> { <element> <element> }
    3 HMSET <hash> { <element> <element> }
    3 HSETNX <hash> <element> <element>
    6 HGET <hash> <element>
    4 HMGET <hash> { <element> }
    5 HGETALL <hash> => any-order
    4 HKEYS|HVALS <hash> => any-order
    5 HDEL <hash> { <element> }
    3 HGETDEL <hash> FIELDS ( 1 <element> / 2 <element> <element> / 0 <element> / 2 <element> / x <element> )
    3 HLEN <hash>
    3 HEXISTS|HSTRLEN <hash> <element>
    5 HINCRBY <hash> <element> <number>
    4 HINCRBYFLOAT <hash> <element> <float>
    2 !HRANDFIELD <hash> [ 0 / 1 / 1000 / -2 / x / 1 WITHVALUES / 1 nosuch ] => kind
    3 !HSCAN <hash> <cursor> COUNT 1000000 [ MATCH a*|[12]* ] [ NOVALUES ] => whole-scan
    # A time is over at once, or not during the run.
    6 HEXPIREAT|HPEXPIREAT <hash> <field-time> [ NX|XX|GT|LT|nosuch ] FIELDS <elements>
    3 HEXPIRE|HPEXPIRE <hash> 5000000|0|-1|x|70368744177664 [ NX|XX ] FIELDS <elements>
    3 HPERSIST <hash> FIELDS <elements>
    3 HEXPIRETIME|HPEXPIRETIME <hash> FIELDS <elements> => near 3000
    2 HTTL|HPTTL <hash> FIELDS <elements> => near 3000
    4 HGETEX <hash> [ PERSIST / EX|PX 0|x|5000000 / EXAT|PXAT <field-time> ] FIELDS <elements>
    4 HSETEX <hash> [ FNX|FXX ] [ KEEPTTL / EX|PX 0|x|5000000 / EXAT|PXAT <field-time> / nosuch ] FIELDS ( 1 <element> <element> / 2 <element> <element> <element> <element> / 0 <element> <element> / 2 <element> <element> )
    1 HEXPIRE|HTTL|HGETEX|HSETEX { <hash> }
    4 OBJECT ENCODING <hash>
    3 DEL|UNLINK|TYPE <hash>
    2 COPY <hash> <hash> [ REPLACE ]
    1 DEBUG DIGEST-VALUE { <hash> }
    1 DUMP <hash> => kind

    # Sorted sets. What makes scores is not spoiled: 7.0 writes those that have no short text with 17 digits.
    14 !ZADD <zset> { <score> <element> }
    6 !ZADD <zset> [ NX|XX|GT|LT ] [ CH ] [ INCR ] <score> <element>
    2 !ZADD <zset> { NX|XX|GT|LT|CH|INCR|nosuch } <score> <element>
    4 !ZINCRBY <zset> <score> <element>
    5 ZREM <zset> { <element> }
    3 ZCARD <zset>
    4 ZSCORE <zset> <element>
    3 ZMSCORE <zset> { <element> }
    5 ZRANK|ZREVRANK <zset> <element> [ WITHSCORE / nosuch ]
    5 ZCOUNT <zset> <score-end> <score-end>
    # Ranges of texts are defined where scores are the same.
    8 !ZADD <yset> { 0 <element> }
    2 ZREM|ZPOPMIN|ZPOPMAX <yset> [ 1 ]
    4 ZLEXCOUNT <yset> <text-end> <text-end>
    6 ZRANGE <zset> 0 -1 WITHSCORES
    6 ZRANGE|ZREVRANGE <zset> <index> <index> [ WITHSCORES ]
    5 ZRANGE <zset> <score-end> <score-end> BYSCORE [ REV ] [ LIMIT 0|1|2|3|x <index> ] [ WITHSCORES ]
    4 ZRANGE <yset> <text-end> <text-end> BYLEX [ REV ] [ LIMIT 0|1|2|3|x <index> ] [ WITHSCORES ]
    4 ZRANGEBYSCORE|ZREVRANGEBYSCORE <zset> <score-end> <score-end> [ WITHSCORES ] [ LIMIT 0|1|2|3|x <index> ]
    4 ZRANGEBYLEX|ZREVRANGEBYLEX <yset> <text-end> <text-end> [ LIMIT 0|1|2|3|x <index> ]
    1 ZRANGE <zset> <score-end> <score-end> BYSCORE [ REV ] LIMIT <index> <index> [ WITHSCORES ]
    1 ZRANGE <yset> <text-end> <text-end> BYLEX [ REV ] LIMIT <index> <index>
    1 ZRANGEBYSCORE|ZREVRANGEBYSCORE <zset> <score-end> <score-end> LIMIT <index> <index>
    4 ZRANGESTORE <zset> ( <zset> <index> <index> / <zset> <score-end> <score-end> BYSCORE / <yset> <text-end> <text-end> BYLEX REV ) [ LIMIT 0 3 ]
    2 ZREMRANGEBYRANK <zset> <index> <index>
    2 ZREMRANGEBYSCORE <zset> <score-end> <score-end>
    2 ZREMRANGEBYLEX <yset> <text-end> <text-end>
    4 ZPOPMIN|ZPOPMAX <zset> [ 0 / 1 / 2 / 10 / -1 / x ]
    4 ZMPOP ( 1 <zset> / 2 <zset> <zset> / 0 <zset> / x <zset> ) MIN|MAX|nosuch [ COUNT 1|2|5|0|x ]
    2 !BZPOPMIN|BZPOPMAX { <zset> } 0.001|x|-1
    1 !BZMPOP 0.001|x|-1 ( 1 <zset> / 2 <zset> <zset> / 0 <zset> ) MIN|MAX|nosuch [ COUNT 1|2|0 ]
    6 !ZUNION|ZINTER ( 1 <zset> / 2 <zset> <zset> / 3 <zset> <set> <zset> ) [ WEIGHTS 1 2 3 / WEIGHTS 2 / WEIGHTS 2 -1 ] [ AGGREGATE SUM|MIN|MAX|nosuch ] [ WITHSCORES ]
    3 ZDIFF ( 1 <zset> / 2 <zset> <zset> / 3 <zset> <set> <zset> / 0 <zset> ) [ WITHSCORES ]
    4 !ZUNIONSTORE|ZINTERSTORE <zset> ( 1 <zset> / 2 <zset> <zset> / 0 <zset> ) [ WEIGHTS 3 / WEIGHTS 2 0.5 ] [ AGGREGATE SUM|MIN|MAX ]
    2 ZDIFFSTORE <zset> ( 1 <zset> / 2 <zset> <zset> / x <zset> )
    3 ZINTERCARD ( 1 <zset> / 2 <zset> <zset> / 0 <zset> / 3 <zset> <zset> ) [ LIMIT 0|1|2|-1|x ]
    2 !ZRANDMEMBER <zset> [ 0 / 1 / 1000 / -2 / x / 1 WITHSCORES / 1 nosuch ] => kind
    3 !ZSCAN <zset> <cursor> COUNT 1000000 [ MATCH a*|[12]* ] => whole-scan
    4 OBJECT ENCODING <zset>
    3 DEL|UNLINK|TYPE <zset>
    2 COPY <zset> <zset> [ REPLACE ]
    1 DEBUG DIGEST-VALUE { <zset> }
    1 DUMP <zset> => kind

    # Places. Texts of coordinates and what is given for them have changed since 7.0.
    10 GEOADD <geo> [ NX / XX / CH / ch XX / NX XX / nosuch ] { <lon> <lat> <element> }
    4 !GEODIST <geo> <element> <element> [ <unit> ]
    3 GEOHASH <geo> { <element> }
    3 GEOPOS <geo> { <element> }
    3 ZRANGE <geo> 0 -1 WITHSCORES
    8 GEOSEARCH <geo> ( FROMMEMBER <element> / FROMLONLAT <lon> <lat> ) ( BYRADIUS <radius> <unit> / BYBOX <radius> <radius> <unit> ) [ ASC / DESC ] [ COUNT 0|1|2|10|x / COUNT 1|2 ANY / ANY ] [ WITHDIST ] [ WITHHASH ] [ WITHCOORD ]
    4 GEOSEARCHSTORE <geo> <geo> ( FROMMEMBER <element> / FROMLONLAT <lon> <lat> ) ( BYRADIUS <radius> <unit> / BYBOX <radius> <radius> <unit> ) [ COUNT 1|2 ] [ WITHDIST ]
    2 GEOSEARCHSTORE <far> <geo> FROMMEMBER <element> BYRADIUS <radius> <unit> [ COUNT 1|2 ] STOREDIST
    2 !ZRANGE <far> 0 -1
    1 !ZSCORE <far> <element>
    3 GEORADIUS <geo> <lon> <lat> <radius> <unit> [ WITHDIST ] [ WITHHASH ] [ COUNT 1|2 ] [ STORE <geo> / STOREDIST <far> / STORE ] [ DESC ]
    2 GEORADIUS_RO <geo> <lon> <lat> <radius> <unit> [ WITHDIST ] [ COUNT 1|2 ] [ STORE <geo> ]
    3 GEORADIUSBYMEMBER <geo> <element> <radius> <unit> [ WITHDIST ] [ ANY COUNT 1|2 ] [ STORE <geo> / STOREDIST <far> / STORE ]
    2 GEORADIUSBYMEMBER_RO <geo> <element> <radius> <unit> [ WITHDIST ] [ ANY ] [ ASC ]
    1 COMMAND GETKEYS|GETKEYSANDFLAGS GEORADIUS a 1 2 3 m ( STORE b / STORE / STORE b STOREDIST c / STOREDIST b ASC )

    # Sorting: what is sorted by is a string, or a field, at keys of the other lines. Not by numbers: Redis refuses those
    # after any command that met a number out of range. Not spoiled, so that ALPHA stays.
    8 !SORT|SORT_RO ( <list> / <set> / <zset> / <key> ) ALPHA [ ASC / DESC / nosuch ]
    8 !SORT|SORT_RO <list> ALPHA [ BY <by> ] [ LIMIT <index> <index> ] [ GET # ] [ GET <by> ] [ DESC ]
    3 !SORT <zset> BY nosort [ LIMIT <index> <index> ] [ DESC ] [ GET <by> ]
    3 !SORT <list> ALPHA [ BY <by> ] [ GET <by> ] [ LIMIT 0 2 ] STORE <list>
    2 !SORT <set> ( BY nosort / ALPHA ) [ DESC ] [ LIMIT <index> <index> ] STORE <list>
    1 !SORT <list> ALPHA ( LIMIT 1 / LIMIT x 1 / STORE / BY / GET / nosuch / LIMIT 1 x )
    1 COMMAND GETKEYS|GETKEYSANDFLAGS SORT|SORT_RO a ( STORE b / STORE / BY STORE STORE c / GET x STORE b STORE c / LIMIT 1 STORE b )

    # Keys.
    8 DEL|UNLINK { <key> }
    8 EXISTS|TOUCH { <key> }
    5 TYPE <key>
    5 TTL <key> => near 3
    5 PTTL <key> => near 3000
    5 EXPIRETIME <key> => near 3
    5 PEXPIRETIME <key> => near 3000
    5 PERSIST <key>
    8 EXPIRE <key> <seconds> [ <flag> ] [ <flag> ]
    4 PEXPIRE <key> <milliseconds> [ <flag> ]
    4 EXPIREAT <key> <second> [ <flag> ]
    4 PEXPIREAT <key> <millisecond> [ <flag> ]
    8 RENAME|RENAMENX <key> <key>
    8 COPY <key> <key> [ DB <db> ] [ REPLACE / replace / nosuch ]
    5 MOVE <key> <db>
    2 SWAPDB <db> <db>
    6 OBJECT ENCODING <key>
    3 OBJECT REFCOUNT <key> => kind
    3 OBJECT IDLETIME <key> => kind
    2 OBJECT FREQ <key>
    1 OBJECT HELP => kind
    1 OBJECT nosuch [ <key> ]
    5 KEYS <pattern> => any-order
    5 !SCAN <cursor> COUNT 1000000 [ MATCH <pattern> ] [ TYPE string|STRING|hash|list|nosuch ] => whole-scan
    1 !SCAN x|-1|1.5|99999999999999999999
    1 !SCAN 0 ( COUNT 0 / COUNT x / COUNT / nosuch / MATCH / TYPE )
    4 DBSIZE
    2 RANDOMKEY => kind
    4 DUMP <key> => kind
    6 RESTORE <key> ( 0 / 100000 / 5000000000 / <millisecond> ABSTTL / -1 / x ) <dump> [ REPLACE ] [ IDLETIME 10 / FREQ 7 / IDLETIME -1 / FREQ 256 / nosuch ]
    1 !WAIT 0 ( 0 / 10 / x / -1 )
    1 !WAITAOF 0|1|x 0 1

    # Transactions.
    6 MULTI
    6 EXEC
    1 DISCARD
    3 WATCH { <key> }
    1 UNWATCH

    # Publish/subscribe; those who listen do so on connections of their own.
    6 PUBLISH <channel> <value>
    2 SPUBLISH <channel> <value>
    1 PUBSUB NUMSUB|SHARDNUMSUB [ <channel> ] [ <channel> ]
    1 PUBSUB CHANNELS|SHARDCHANNELS [ <pattern> / <pattern> x ] => any-order
    1 PUBSUB NUMPAT [ x ]
    1 PUBSUB HELP => kind
    1 PUBSUB nosuch
    1 PUBSUB

    # Connections.
    2 PING [ hello / <value> ]
    2 ECHO <value>
    3 SELECT <db>
    2 RESET
    1 QUIT
    1 AUTH ( x / default x / nobody x / a b c )
    2 !HELLO [ 2 / 3 / 3 SETNAME <name> / 2 AUTH default x / 3 AUTH x ] => kind
    1 HELLO ( 1 / 4 / x / 3 nosuch / 3 AUTH / 2 SETNAME / 99999999999999999999 )
    1 CLIENT ID => kind
    1 CLIENT GETNAME
    2 !CLIENT SETNAME <name>
    2 !CLIENT SETINFO ( lib-name|LIB-VER|nosuch x|1.2|jedis / lib-name|lib-ver <name> )
    2 CLIENT INFO => client
    1 CLIENT LIST => kind
    1 CLIENT LIST ID <client-id> => kind
    1 CLIENT LIST ( TYPE nosuch / ID x / nosuch / ID / TYPE )
    1 CLIENT LIST TYPE normal|replica|pubsub|master => kind
    1 CLIENT KILL ( x / 1.2.3.4:5 / ID x / ID 0 / ADDR / TYPE nosuch / SKIPME maybe / USER nosuch / MAXAGE x / nosuch yes / ID 99999999 LADDR x )
    1 CLIENT KILL ID <client-id> [ SKIPME yes|no ] [ USER default / TYPE normal / TYPE pubsub ]
    1 CLIENT NO-EVICT ( on / off / x )
    1 CLIENT NO-TOUCH ( on / off / x )
    1 CLIENT GETREDIR
    1 CLIENT UNBLOCK ( <client-id> [ TIMEOUT|ERROR|x ] / 99999999 / x )
    1 CLIENT UNPAUSE
    1 !CLIENT PAUSE ( 0 / x / -1 / 1 nosuch )
    2 CLIENT TRACKING on [ NOLOOP ]
    1 CLIENT TRACKING on OPTIN|OPTOUT
    1 CLIENT TRACKING off
    # BCAST only where it is refused: which broadcasts go out together depends on how much is read at a time.
    1 CLIENT TRACKING ( x / on PREFIX k / on OPTIN OPTOUT / on BCAST OPTIN / on REDIRECT x / on REDIRECT 99999999 / on nosuch / off BCAST )
    1 CLIENT CACHING yes|no|x
    1 CLIENT TRACKINGINFO
    1 CLIENT HELP => kind
    1 CLIENT nosuch
    1 CLIENT

    # The server.
    1 FLUSHDB [ SYNC / ASYNC / nosuch ]
    1 FLUSHALL [ sync / async / nosuch ]
    1 TIME => kind
    1 TIME x
    1 LASTSAVE => near 30
    1 LOLWUT [ VERSION 99 / VERSION 1 / VERSION x / VERSION ] => kind
    2 MEMORY USAGE <key> [ SAMPLES 0 / SAMPLES -1 / SAMPLES x / nosuch ] => kind
    1 MEMORY ( nosuch / USAGE / PURGE )
    1 MEMORY STATS|DOCTOR|HELP => kind
    1 INFO [ server / everything / nosuch / clients memory ] => kind
    1 INFO keyspace => counts
    1 INFO errorstats => counts
    3 CONFIG GET { <parameter> } => any-order
    4 CONFIG SET <setting> [ <setting> ]
    2 CONFIG SET <setting> { <setting> }
    1 CONFIG SET ( x / nosuch 1 / maxmemory-samples 5 maxmemory-samples 6 / hz )
    1 CONFIG RESETSTAT
    1 CONFIG HELP => kind
    1 CONFIG nosuch
    1 CONFIG
    1 COMMAND COUNT => kind
    2 COMMAND INFO { <command> } => command-info
    1 COMMAND DOCS <command> => kind
    1 COMMAND LIST => kind
    1 COMMAND LIST FILTERBY ( PATTERN set / PATTERN k* / ACLCAT nosuch / MODULE nosuch ) => any-order
    1 COMMAND LIST ( nosuch / FILTERBY / FILTERBY nosuch x / FILTERBY MODULE )
    2 COMMAND GETKEYS|GETKEYSANDFLAGS ( GET a / SET a b GET / MSET a b c d / MSET / LCS a b / COPY a b / OBJECT ENCODING a / PING / NOSUCH / CONFIG GET x )
    1 COMMAND GETKEYS|GETKEYSANDFLAGS
    1 COMMAND HELP => kind
    1 COMMAND nosuch
    1 SLOWLOG ( LEN / RESET / GET / GET -1 / GET 0 / GET -2 / GET x / nosuch / LEN x )
    1 SLOWLOG HELP => kind
    1 LATENCY ( LATEST / HISTORY command / HISTORY nosuch / RESET / RESET command / RESET a b / nosuch / GRAPH command / HISTORY / HISTOGRAM nosuch )
    1 LATENCY DOCTOR|HELP|HISTOGRAM => kind
    1 DEBUG PROTOCOL string|integer|double|null|array|set|map|verbatim|true|false|bignum|nosuch
    1 DEBUG STRINGMATCH-LEN 100 <pattern> => kind
    1 DEBUG SET-ACTIVE-EXPIRE ( 0 / 1 )
    1 !DEBUG SLEEP 0
    1 DEBUG OBJECT <key> => kind
    2 DEBUG DIGEST
    2 DEBUG DIGEST-VALUE { <key> }
    1 DEBUG nosuch
    1 !DEBUG POPULATE 3 k1
    1 !DEBUG POPULATE x

    # What is no command.
    1 NOSUCH [ a b / <value> ]
    1 nosuch|GET|SET|MULTIX
";

/// Where Redis 7.0, Debian's, answers otherwise than 8.0, whose behaviour is ours: the start of a line, and why.
pub(crate) const CHANGED_SINCE_7_0: &[(&str, &str)] = &[
    ("client setinfo", "came with 7.2"),
    ("client no-touch", "came with 7.2"),
    ("client info", "has more fields"),
    ("client list id", "has more fields"),
    ("client kill", "knows MAXAGE and several ids"),
    ("waitaof", "came with 7.2"),
    ("client tracking on", "told a client of its own flush behind the reply"),
    ("client tracking (", "told a client of its own flush behind the reply"),
    ("command getkeys", "wanted one argument more"),
    ("command info", "has other flags"),
    ("config get", "has other parameters"),
    ("config set", "has other parameters and bounds"),
    ("restore", "refuses what newer versions dumped"),
    ("info errorstats", "counted other errors"),
    ("info keyspace", "did not count what expires within hashes"),
    ("bitcount", "looked at the key first"),
    ("bitpos", "looked at the key first"),
    ("scan x", "took other texts for a cursor"),
    ("object encoding", "kept every list in nodes"),
    ("lindex", "did not cut an index to 32 bits"),
    ("lpos", "looked at other options first"),
    ("lrem", "took the least number for a count"),
    ("lset", "did not cut an index to 32 bits"),
    ("hgetdel", "came with 8.0"),
    ("hgetex", "came with 8.0"),
    ("hsetex", "came with 8.0"),
    ("hexpire", "came with 7.4"),
    ("hpersist", "came with 7.4"),
    ("httl", "came with 7.4"),
    ("hscan", "knew no NOVALUES"),
    ("sscan", "knew no NOVALUES"),
    ("zscan", "knew no NOVALUES"),
    ("zrange <zset> <score-end>", "took a space before an end, and skipped everything by a negative offset"),
    ("zrange <yset> <text-end> <text-end> bylex [ rev ] limit", "skipped everything by a negative offset"),
    ("zrangebyscore|zrevrangebyscore", "took a space before an end"),
    ("zrangestore", "took a space before an end"),
    ("zremrangebyscore", "took a space before an end"),
    ("zcount", "took a space before an end"),
    ("zrank", "knew no WITHSCORE"),
    ("zrevrank", "knew no WITHSCORE"),
    ("geopos", "wrote coordinates with 17 digits"),
    ("zscore <far>", "wrote distances with 17 digits"),
    ("geosearch <geo>", "wrote coordinates with 17 digits"),
    ("debug", "has other subcommands"),
];
