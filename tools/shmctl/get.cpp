// get.cpp - get: what is in an object, in Python's notation, as JSON, or raw.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "targets.hpp"
#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>

namespace shmctl {

namespace {

constexpr std::size_t piece_bytes = 1 << 16;  // of output at a time

json to_json(const cairn::element_value& value) {
    struct visitor {
        json operator()(std::monostate) const { return nullptr; }
        json operator()(std::nullptr_t) const { return nullptr; }
        json operator()(bool is) const { return is; }
        json operator()(std::int64_t number) const { return number; }
        json operator()(std::uint64_t number) const { return number; }
        json operator()(double number) const {
            // JSON has no word for these.
            if (number != number) return "nan";
            if (number - number != 0) return number < 0 ? "-inf" : "inf";
            return number;
        }
        json operator()(const std::string& text) const {
            // Text that JSON cannot hold is given as bytes, so that nothing is lost.
            try {
                static_cast<void>(json(text).dump());
                return text;
            } catch (const json::exception&) {
                const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
                return (*this)(std::vector<std::byte>(bytes, bytes + text.size()));
            }
        }
        json operator()(const std::vector<std::byte>& bytes) const {
            std::string hex;
            for (const std::byte each : bytes) hex += fmt::format("{:02x}", static_cast<unsigned>(each));
            return {{"hex", hex}};
        }
        json operator()(const std::vector<cairn::element_value>& items) const {
            json all = json::array();
            for (const cairn::element_value& item : items) all.push_back(to_json(item));
            return all;
        }
        json operator()(const std::vector<cairn::element_pair>& pairs) const {
            json all = json::object();
            for (const auto& [key, mapped] : pairs) {
                // Keys are text in JSON: 1 is "1", as Python's json has it.
                const json name = to_json(key);
                all[name.is_string() ? name.get<std::string>() : name.dump()] = to_json(mapped);
            }
            return all;
        }
    };
    return std::visit(visitor{}, value.is);
}

struct range {
    std::uint64_t first = 0;
    std::uint64_t count = cairn::inspection::everything;
};

// What a subscript means for an object of that size.
range range_of(const target& wanted, const std::string& what, std::uint64_t size) {
    if (!wanted.at) return {};
    const auto from_front = [&](std::int64_t index) {
        return index >= 0 ? static_cast<std::uint64_t>(index)
                          : size - std::min(size, static_cast<std::uint64_t>(-(index + 1)) + 1);
    };
    if (wanted.at->is_slice) {
        const std::uint64_t first = std::min(from_front(wanted.at->first.value_or(0)), size);
        const std::uint64_t last = wanted.at->last ? std::min(from_front(*wanted.at->last), size) : size;
        return {first, last > first ? last - first : 0};
    }
    const std::int64_t index = wanted.at->first.value_or(0);
    const bool is_there = index >= 0 ? static_cast<std::uint64_t>(index) < size
                                     : static_cast<std::uint64_t>(-(index + 1)) < size;
    if (!is_there) {
        throw failure(not_found,
                      fmt::format("no element {} in {}: it has {}", index, what, counted(size, "item")),
                      "elements are counted from 0");
    }
    return {from_front(index), 1};
}

// Output in pieces: a list may be larger than what one wants in one string.
class writer {
public:
    std::string& text() { return text_; }
    void maybe_write() {
        if (text_.size() >= piece_bytes) write();
    }
    void write() {
        write_out(text_);
        text_.clear();
    }

private:
    std::string text_;
};

struct answer {
    cairn::object_contents contents;
    std::string segment;
    std::string object;
    bool is_single = false;  // [3]: the element rather than a list of one
    bool is_cut = false;     // by --limit
};

// [KEY]: a text as it is or in quotes, everything else as get prints it.
answer fetch_value(const cairn::inspection& look, const std::string& name, const std::string& key) {
    answer result;
    result.segment = look.location().target;
    result.object = name;
    result.is_single = true;
    const cairn::object_contents all = look.contents(name);
    for (std::uint64_t i = 0; i < all.count(); ++i) {
        const std::span<const std::byte> bytes = all.keys()->bytes(i);
        std::string text;
        all.keys()->append_text(text, i);
        const bool is_text =
            all.keys()->type == "str" &&
            key == std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (!is_text && text != key) continue;
        result.contents = look.contents(name, i, 1);
        // Others may have come and gone since.
        std::string again;
        if (result.contents.count() == 1) result.contents.keys()->append_text(again, 0);
        if (again == text) return result;
        break;
    }
    throw failure(not_found, fmt::format("no key {} in '{}/{}'", printable(key), result.segment, name));
}

bool has_keys_in(const std::string& kind) {
    return kind == "dict" || kind == "sharded_dict" || kind == "set" || kind == "ns";
}

answer fetch(const cairn::inspection& look, const std::string& name, const target& wanted,
             const arguments& given) {
    answer result;
    result.segment = look.location().target;
    result.object = name;
    const cairn::object_facts facts = look.object(name);
    const std::string& kind = facts.kind;
    if (wanted.key && has_keys_in(kind)) {
        if (kind == "set") throw failure(wrong_usage, "a set has no elements that are found by [...]");
        return fetch_value(look, name, *wanted.key);
    }
    if (wanted.key && !wanted.at) throw_subscript(wanted.text);
    // A lock and the like has a status, and so has an array, whose lock that is about.
    const bool is_one = kind == "value" || (!facts.status.empty() && kind != "array");
    result.is_single = (wanted.at && !wanted.at->is_slice) || is_one;
    const std::string what = fmt::format("'{}/{}'", result.segment, name);
    range part;
    if (wanted.at) part = range_of(wanted, what, look.contents(name, 0, 0).size);
    const std::uint64_t asked = part.count;
    if (given.limit) part.count = std::min(part.count, *given.limit);
    result.contents = look.contents(name, part.first, part.count);
    const std::uint64_t behind = result.contents.size - result.contents.first;
    result.is_cut = result.contents.count() < std::min(asked, behind);
    if (result.is_single && result.contents.count() == 0)
        static_cast<void>(range_of(wanted, what, result.contents.size));
    return result;
}

void write_text(const answer& result) {
    writer out;
    if (result.is_single) {
        if (result.contents.count() != 0) result.contents.append_text(out.text(), 0);
    } else {
        const bool has_keys = has_keys_in(result.contents.kind);
        const bool is_no_set = result.contents.kind != "set" || result.contents.count() != 0 || result.is_cut;
        out.text() += !has_keys ? "[" : is_no_set ? "{" : "set(";
        for (std::uint64_t i = 0; i < result.contents.count(); ++i) {
            if (i != 0) out.text() += ", ";
            if (const cairn::object_contents* keys = result.contents.keys()) {
                keys->append_text(out.text(), i);
                out.text() += ": ";
            }
            result.contents.append_text(out.text(), i);
            out.maybe_write();
        }
        if (result.is_cut) out.text() += result.contents.count() == 0 ? "..." : ", ...";
        out.text() += !has_keys ? ']' : is_no_set ? '}' : ')';
    }
    out.text() += '\n';
    out.write();
}

// One element a line; texts as they are, everything else as get prints it.
void write_raw(const answer& result) {
    writer out;
    for (std::uint64_t i = 0; i < result.contents.count(); ++i) {
        const std::span<const std::byte> bytes = result.contents.bytes(i);
        if (result.contents.type == "str")
            out.text().append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        else result.contents.append_text(out.text(), i);
        out.text() += '\n';
        out.maybe_write();
    }
    out.write();
}

json document(const answer& result) {
    const cairn::object_contents& contents = result.contents;
    json items = json::array();
    for (std::uint64_t i = 0; i < contents.count(); ++i) {
        if (contents.keys() == nullptr) items.push_back(to_json(contents.value(i)));
        else items.push_back({to_json(contents.keys()->value(i)), to_json(contents.value(i))});
    }
    return {{"segment", printable(result.segment)},
            {"object", printable(result.object)},
            {"kind", contents.kind},
            {"type", printable(contents.type)},
            {"item_count", contents.size},
            {"first_index", contents.first},
            {"is_cut", result.is_cut},
            {"items", std::move(items)},
            {"notes", contents.notes}};
}

bool has_damage(const cairn::object_contents& contents) {
    for (std::uint64_t i = 0; i < contents.count(); ++i)
        if (contents.is_damaged(i) || (contents.keys() != nullptr && contents.keys()->is_damaged(i)))
            return true;
    return false;
}

}  // namespace

int get(const arguments& given) {
    if (given.targets.empty())
        throw failure(wrong_usage, "get what?", "for example `shmctl get jobs/results`");
    json documents = json::array();
    bool is_several = given.targets.size() > 1;
    const int code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        return for_each_segment(wanted, [&](const cairn::segment_location& where) {
            const cairn::inspection look(where);
            const std::vector<std::string> names = find_objects(look, wanted);
            is_several = is_several || !wanted.object || is_glob(wanted.segment + *wanted.object);
            int worst = all_fine;
            for (const std::string& name : names) {
                const answer result = fetch(look, name, wanted, given);
                if (given.output.as_json) documents.push_back(document(result));
                if (!given.output.as_json && is_several && !given.raw && !given.output.without_headings)
                    write_out(printable(where.target + "/" + name) + ": ");
                if (given.output.as_json) {
                } else if (given.raw) {
                    write_raw(result);
                } else {
                    write_text(result);
                }
                for (const std::string& note : result.contents.notes)
                    write_hint(fmt::format("{}/{}: {}", where.target, name, note));
                if (has_damage(result.contents)) {
                    write_error(where.target + "/" + name + ": damaged elements are printed as ?",
                                "`shmctl verify " + where.target + "` tells more");
                    worst = damaged;
                }
            }
            return worst;
        });
    });
    if (given.output.as_json && !documents.empty())
        write_out(dump(is_several ? json{{"objects", documents}} : documents.front()));
    return code;
}

}  // namespace shmctl
