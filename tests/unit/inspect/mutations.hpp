// mutations.hpp - spoils the bytes of a segment the way that finds weak spots: words that are links, counts and offsets get
// values that look like links, counts and offsets. Seeded: the same seed spoils the same way.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/hash.hpp"
#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn_test {

class mutator {
public:
    explicit mutator(std::uint64_t seed) : random_(seed) {}

    /// One to eight changes, now and then a shorter file.
    std::string spoil(std::string bytes) {
        using namespace cairn::detail;
        const std::uint64_t changes = 1 + below(8);
        for (std::uint64_t i = 0; i < changes; ++i) change(bytes);
        if (below(8) == 0) {
            // A header that is wrong and yet has the right checksum: somebody meant it.
            auto* header = reinterpret_cast<segment_header*>(bytes.data());
            put(bytes, below(sizeof(segment_header) / 4) * 4, interesting(bytes), 4);
            header->checksum = hash_bytes(header, offsetof(segment_header, checksum), segment_magic);
        }
        if (below(10) == 0)
            bytes.resize(below(3) == 0 ? below(bytes.size()) : below(bytes.size() / 4096 + 1) * 4096);
        if (below(200) == 0) {
            for (char& c : bytes) c = static_cast<char>(below(256));
        }
        return bytes;
    }

    std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random_() % limit; }

private:
    // Any word of the segment, most often one that says where something is.
    std::uint64_t place(const std::string& bytes) {
        using namespace cairn::detail;
        const auto* header = reinterpret_cast<const segment_header*>(bytes.data());
        const std::uint64_t data = header->data_offset;
        switch (below(6)) {
            case 0: return page_bytes + below(offsetof(segment_control, log) / 4) * 4;
            case 1:
                return header->map_offset +
                       below((bytes.size() - data) / page_bytes * sizeof(page_entry) / 4) * 4;
            case 2: return data + below(8 * root_slot_bytes / 4) * 4;  // control blocks come first
            case 3: return header->buckets_offset + below(header->bucket_count) * 4;
            default: return data + below((bytes.size() - data) / 4) * 4;
        }
    }

    std::uint64_t interesting(const std::string& bytes) {
        switch (below(8)) {
            case 0: return 0;
            case 1: return ~std::uint64_t{0};
            case 2: return below(64);
            case 3: return below(bytes.size());
            case 4: return bytes.size() - below(64);
            case 5: return std::uint64_t{1} << below(64);
            case 6: return (std::uint64_t{1} << 62) + below(1 << 20);
            default: return random_();
        }
    }

    void change(std::string& bytes) {
        const std::uint64_t at = place(bytes);
        switch (below(4)) {
            case 0: put(bytes, at, interesting(bytes), 4); break;
            case 1: put(bytes, at / 8 * 8, interesting(bytes), 8); break;
            case 2: {
                // A word from elsewhere: it makes sense, but not here.
                const std::uint64_t from = place(bytes) / 8 * 8;
                std::uint64_t word = 0;
                if (from + 8 <= bytes.size()) std::memcpy(&word, bytes.data() + from, 8);
                put(bytes, at / 8 * 8, word, 8);
                break;
            }
            default:
                if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        }
    }

    static void put(std::string& bytes, std::uint64_t at, std::uint64_t value, std::uint64_t count) {
        if (at + count <= bytes.size()) std::memcpy(bytes.data() + at, &value, count);
    }

    std::mt19937_64 random_;
};

}  // namespace cairn_test
