//! The examples of RFC 7541 appendix C, and input that no honest peer sends.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, 16_384, |name, value| {
        fields.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
    })?;
    Ok(fields)
}

fn check(max_table_bytes: usize, blocks: &[(&str, &[&str], usize)]) {
    let mut decoder = Decoder::new(max_table_bytes);
    for (block, fields, table_size) in blocks {
        assert_eq!(decode(&mut decoder, &hex(block)).unwrap(), *fields);
        assert_eq!(decoder.table.size(), *table_size);
    }
}

#[test]
fn single_fields_c_2() {
    check(
        4096,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            &["custom-key: custom-header"],
            55,
        )],
    );
    check(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0)]);
    check(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0)]);
    check(4096, &[("82", &[":method: GET"], 0)]);
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

#[test]
fn requests_without_huffman_c_3() {
    check(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2], 164),
        ],
    );
}

#[test]
fn requests_with_huffman_c_4() {
    check(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 57),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2], 164),
        ],
    );
}

const RESPONSES: [&[&str]; 3] = [
    &[
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 307",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
];

#[test]
fn responses_with_eviction_c_5() {
    check(
        256,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 54\
             6e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSES[0],
                222,
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1], 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
             3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn responses_with_huffman_and_eviction_c_6() {
    check(
        256,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
             63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
                222,
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1], 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn size_updates_shrink_and_are_bounded() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d")).unwrap();
    assert_eq!(decode(&mut decoder, &hex("20 be")), Err(Error::BadIndex));
    assert_eq!(decoder.table.size(), 0);
    assert_eq!(decode(&mut decoder, &hex("3f e1 1f")).unwrap(), Vec::<String>::new());
    assert_eq!(decode(&mut decoder, &hex("3f e2 1f")), Err(Error::TableTooLarge));
    assert_eq!(decode(&mut decoder, &hex("82 20")), Err(Error::SizeUpdateLate));
}

#[test]
fn hostile_blocks_are_refused() {
    let mut decoder = Decoder::new(4096);
    for (block, error) in [
        ("80", Error::BadIndex),
        ("be", Error::BadIndex),
        ("ff", Error::Truncated),
        ("ff ff ff ff ff ff", Error::IntegerTooLarge),
        ("ff 80 80 80 80 80 80 80 00", Error::IntegerTooLarge),
        ("04 7f ff ff ff 07", Error::IntegerTooLarge),
        ("04", Error::Truncated),
        ("04 05 61", Error::Truncated),
        ("04 81 ff", Error::BadHuffman),
        ("0f", Error::Truncated),
    ] {
        assert_eq!(decode(&mut decoder, &hex(block)), Err(error), "{block}");
    }
}

#[test]
fn a_list_that_is_too_large_keeps_the_table_in_step() {
    let mut decoder = Decoder::new(4096);
    let block = hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d");
    let mut seen = 0;
    assert_eq!(decoder.decode(&block, 100, |_, _| seen += 1), Err(Error::ListTooLarge));
    assert_eq!(seen, 2);
    assert_eq!(decode(&mut decoder, &hex("be")).unwrap(), [":authority: www.example.com"]);
}

#[test]
fn an_entry_may_evict_the_one_that_lends_its_name() {
    let mut decoder = Decoder::new(64);
    decode(&mut decoder, b"\x40\x04name\x05value").unwrap();
    assert_eq!(
        decode(&mut decoder, b"\x7e\x14aaaaaaaaaaaaaaaaaaaa").unwrap(),
        ["name: aaaaaaaaaaaaaaaaaaaa"]
    );
    assert_eq!(decode(&mut decoder, b"\xbe").unwrap(), ["name: aaaaaaaaaaaaaaaaaaaa"]);
}

proptest::proptest! {
    #[test]
    fn no_block_panics(blocks in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..200), 0..8)) {
        let mut decoder = Decoder::new(256);
        for block in blocks {
            let _ = decoder.decode(&block, 1_000, |_, _| {});
        }
    }
}
