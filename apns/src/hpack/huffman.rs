//! The Huffman code of HPACK (RFC 7541 §5.2 and appendix B).
//!
//! The code is canonical, so the lengths alone give it: codes of one length are consecutive, in symbol order.

use super::Error;

const SYMBOLS: usize = 257;
const EOS: usize = 256;
const MAX_BITS: usize = 30;
/// Codes up to this length (all hex digits, letters and common punctuation) are found in one look.
const FAST_BITS: usize = 10;

/// Bits of each symbol's code, 0..=255 and EOS.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

struct Code {
    /// Symbols ordered by length, then by value.
    symbols: [u16; SYMBOLS],
    /// For each length: its first code, how many it has, and where they start in `symbols`.
    first: [u32; MAX_BITS + 1],
    count: [u32; MAX_BITS + 1],
    start: [u32; MAX_BITS + 1],
    /// For each pattern of the next ten bits: symbol and length of a short code, length 0 for a long one.
    fast: [(u8, u8); 1 << FAST_BITS],
}

static CODE: Code = build();

const fn build() -> Code {
    let mut code = Code {
        symbols: [0; SYMBOLS],
        first: [0; MAX_BITS + 1],
        count: [0; MAX_BITS + 1],
        start: [0; MAX_BITS + 1],
        fast: [(0, 0); 1 << FAST_BITS],
    };
    let mut next = 0u32;
    let mut position = 0;
    let mut bits = 1;
    while bits <= MAX_BITS {
        next <<= 1;
        code.first[bits] = next;
        code.start[bits] = position as u32;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                code.symbols[position] = symbol as u16;
                position += 1;
                if bits <= FAST_BITS {
                    let shift = FAST_BITS - bits;
                    let mut rest = 0;
                    while rest < 1 << shift {
                        code.fast[((next as usize) << shift) | rest] = (symbol as u8, bits as u8);
                        rest += 1;
                    }
                }
                next += 1;
            }
            symbol += 1;
        }
        code.count[bits] = next - code.first[bits];
        bits += 1;
    }
    code
}

/// Symbol and length of the code at the top of `window`, which is filled up with ones.
fn look_up(window: u64) -> (usize, usize) {
    let (symbol, bits) = CODE.fast[(window >> (64 - FAST_BITS)) as usize];
    if bits != 0 {
        return (symbol as usize, bits as usize);
    }
    for bits in FAST_BITS + 1..=MAX_BITS {
        let offset = ((window >> (64 - bits)) as u32).wrapping_sub(CODE.first[bits]);
        if offset < CODE.count[bits] {
            return (CODE.symbols[(CODE.start[bits] + offset) as usize] as usize, bits);
        }
    }
    (EOS, MAX_BITS)
}

/// Appends what `input` decodes to; at most 8/5 of its length.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut input = input.iter();
    let mut window = 0u64;
    let mut have = 0usize;
    loop {
        while have <= 56
            && let Some(byte) = input.next()
        {
            window |= (*byte as u64) << (56 - have);
            have += 8;
        }
        if have == 0 {
            return Ok(());
        }
        let padded = if have < 64 { window | (u64::MAX >> have) } else { window };
        let (symbol, bits) = look_up(padded);
        if symbol == EOS {
            // Fewer than eight ones are padding; more are a coded EOS or a lazy peer (RFC 7541 §5.2).
            return if have < 8 { Ok(()) } else { Err(Error::BadHuffman) };
        }
        if bits > have {
            return Err(Error::BadHuffman);
        }
        out.push(symbol as u8);
        window <<= bits;
        have -= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    fn encoded(input: &[u8]) -> Vec<u8> {
        let code_of = |symbol: usize| {
            let bits = LENGTHS[symbol] as usize;
            let start = CODE.start[bits] as usize;
            let rank = CODE.symbols[start..].iter().position(|s| *s as usize == symbol).unwrap();
            (CODE.first[bits] + rank as u32, bits)
        };
        let mut text = String::new();
        for byte in input {
            let (code, bits) = code_of(*byte as usize);
            text.push_str(&format!("{code:0bits$b}"));
        }
        while !text.len().is_multiple_of(8) {
            text.push('1');
        }
        text.as_bytes()
            .chunks(8)
            .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn strings_of_rfc_7541_c_4() {
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&coded).unwrap(), b"www.example.com");
        assert_eq!(decoded(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]).unwrap(), b"no-cache");
    }

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)).unwrap(), all);
    }

    #[test]
    fn bad_padding_and_eos_are_refused() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(Error::BadHuffman));
        assert_eq!(decoded(&[0xff]), Err(Error::BadHuffman));
        // 'a' (00011) and then zeros instead of ones.
        assert_eq!(decoded(&[0b0001_1000]), Err(Error::BadHuffman));
        assert_eq!(decoded(&[0b0001_1111]).unwrap(), b"a");
    }
}
