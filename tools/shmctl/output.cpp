// SPDX-License-Identifier: BSL-1.0
#include "output.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <iostream>
#include <numeric>

#include <fnmatch.h>
#include <signal.h>
#include <unistd.h>

#include <fmt/format.h>

namespace shmctl {

namespace {

std::size_t utf8_bytes(std::string_view text, std::size_t at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    std::size_t bytes = 1;
    if (lead >= 0xc2 && lead <= 0xdf) bytes = 2;
    else if (lead >= 0xe0 && lead <= 0xef) bytes = 3;
    else if (lead >= 0xf0 && lead <= 0xf4) bytes = 4;
    else return lead < 0x80 ? 1 : 0;
    if (text.size() - at < bytes) return 0;
    for (std::size_t i = 1; i < bytes; ++i)
        if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return 0;
    return bytes;
}

// Characters, as far as code points are characters.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool same_word(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
        return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
    });
}

bool is_number(style written) {
    return written != style::text && written != style::age;
}

std::string to_text(const cell& value, style written, const output_options& options) {
    struct visitor {
        style written;
        const output_options& options;
        std::string operator()(nothing) const { return "-"; }
        std::string operator()(unknown) const { return "?"; }
        std::string operator()(bool is) const { return is ? "yes" : "no"; }
        std::string operator()(std::uint64_t number) const {
            if (written == style::bytes) return human_bytes(number, options);
            if (written == style::count) return human_count(number, options);
            return std::to_string(number);
        }
        std::string operator()(std::int64_t number) const {
            return written == style::age ? human_age(number) : std::to_string(number);
        }
        std::string operator()(const std::string& text) const { return text.empty() ? "-" : printable(text); }
        std::string operator()(const std::vector<std::string>& all) const {
            if (written == style::list) return std::to_string(all.size());
            std::string joined;
            for (const std::string& text : all) joined += (joined.empty() ? "" : "; ") + printable(text);
            return joined;
        }
    };
    return std::visit(visitor{written, options}, value);
}

// Numbers by size, texts by letters; what is not known goes last.
bool is_less(const cell& a, const cell& b) {
    if (a.index() != b.index()) return a.index() > b.index();
    if (const auto* text = std::get_if<std::string>(&a)) return *text < std::get<std::string>(b);
    if (const auto* number = std::get_if<std::uint64_t>(&a)) return *number < std::get<std::uint64_t>(b);
    if (const auto* number = std::get_if<std::int64_t>(&a)) return *number < std::get<std::int64_t>(b);
    return false;
}

constexpr std::string_view bold = "\x1b[1m";
constexpr std::string_view plain = "\x1b[0m";

std::string_view color_of(std::string_view text) {
    if (text == "live" || text == "clean") return "\x1b[32m";
    if (text == "orphan" || text == "busy") return "\x1b[33m";
    if (text == "damaged" || text == "problems" || text == "unreadable" || text.starts_with("DEAD"))
        return "\x1b[31m";
    return {};
}

std::string cut(const std::string& line, std::size_t columns) {
    if (columns == 0 || width(line) <= columns) return line;
    std::size_t seen = 0;
    std::size_t at = 0;
    while (at < line.size() && seen + 1 < columns) {
        at += std::max<std::size_t>(1, utf8_bytes(line, at));
        ++seen;
    }
    return line.substr(0, at) + "…";
}

int distance(std::string_view a, std::string_view b) {
    std::vector<int> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    std::vector<int> before = row;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::vector<int> next(b.size() + 1);
        next[0] = static_cast<int>(i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const int changed = row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            next[j] = std::min({row[j] + 1, next[j - 1] + 1, changed});
            // Two letters in each other's place are one slip of the fingers.
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                next[j] = std::min(next[j], before[j - 2] + 1);
        }
        before = std::move(row);
        row = std::move(next);
    }
    return row[b.size()];
}

}  // namespace

// ---- values --------------------------------------------------------------------------------------------------------

std::string human_bytes(std::uint64_t bytes, const output_options& options) {
    if (options.exact || bytes < 1024) return std::to_string(bytes);
    constexpr std::string_view units = "KMGTPE";
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    return value < 100 ? fmt::format("{:.1f}{}", value, units[unit])
                       : fmt::format("{:.0f}{}", value, units[unit]);
}

std::string human_count(std::uint64_t count, const output_options& options) {
    std::string digits = std::to_string(count);
    // A space would be another column to a script.
    if (options.exact || !options.to_terminal || count < 10000) return digits;
    for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, 1, ' ');
    return digits;
}

std::string human_age(std::int64_t seconds) {
    if (seconds < 0) return "?";
    if (seconds < 60) return fmt::format("{}s ago", seconds);
    if (seconds < 3600) return fmt::format("{}m ago", seconds / 60);
    if (seconds < 86400) return fmt::format("{}h ago", seconds / 3600);
    return fmt::format("{}d ago", seconds / 86400);
}

std::string printable(std::string_view text) {
    std::string clean;
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const std::size_t bytes = byte < 0x20 || byte == 0x7f ? 0 : utf8_bytes(text, i);
        // U+0080 to U+009F are control characters, too.
        const bool is_control = bytes == 2 && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (bytes == 0 || is_control) {
            clean += fmt::format("\\x{:02x}", byte);
            ++i;
        } else {
            clean += text.substr(i, bytes);
            i += bytes;
        }
    }
    return clean;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
    std::string best;
    int least = word.size() <= 3 ? 1 : word.size() <= 8 ? 2 : 3;
    for (const std::string& each : known) {
        if (each == word || each.size() > 200 || word.size() > 300) continue;
        const int d = distance(word, each);
        if (d < least || (d == least && best.empty())) {
            best = each;
            least = d;
        }
    }
    return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
    const std::string near = nearest(word, known);
    return near.empty() ? "" : " (did you mean '" + printable(near) + "'?)";
}

// ---- tables --------------------------------------------------------------------------------------------------------

void table::add(std::string name, std::vector<cell> cells) {
    cells.resize(columns_.size());
    rows_.push_back({std::move(name), std::move(cells)});
}

std::size_t table::find_column(const std::string& name) const {
    for (std::size_t i = 0; i < columns_.size(); ++i)
        if (same_word(name, columns_[i].heading) || same_word(name, columns_[i].key)) return i;
    std::vector<std::string> known;
    std::string all;
    for (const column& each : columns_) {
        std::string heading = each.heading;
        std::transform(heading.begin(), heading.end(), heading.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        all += (all.empty() ? "" : ", ") + heading;
        known.push_back(std::move(heading));
    }
    throw failure(wrong_usage, "no column '" + printable(name) + "'" + did_you_mean(name, known),
                  "columns: " + all);
}

std::vector<std::size_t> table::chosen(const output_options& options, bool with_extra) const {
    std::vector<std::size_t> indices;
    for (const std::string& name : options.columns) indices.push_back(find_column(name));
    if (!indices.empty()) return indices;
    for (std::size_t i = 0; i < columns_.size(); ++i)
        if (with_extra || !columns_[i].is_extra) indices.push_back(i);
    return indices;
}

void table::arrange(const output_options& options) {
    for (const std::string& filter : options.filters) {
        const std::size_t at = filter.find('=');
        if (at == std::string::npos)
            throw failure(wrong_usage, "filter '" + printable(filter) + "' is not COLUMN=VALUE",
                          "for example --filter state=orphan");
        const std::size_t index = find_column(filter.substr(0, at));
        const std::string wanted = filter.substr(at + 1);
        std::erase_if(rows_, [&](const row& each) {
            output_options exactly;
            exactly.exact = true;
            const std::string text = to_text(each.cells[index], columns_[index].written, exactly);
            return ::fnmatch(wanted.c_str(), text.c_str(), 0) != 0;
        });
    }
    if (!options.sort_by.empty()) {
        const std::size_t index = find_column(options.sort_by);
        std::stable_sort(rows_.begin(), rows_.end(),
                         [&](const row& a, const row& b) { return is_less(a.cells[index], b.cells[index]); });
    }
    if (options.reversed) std::reverse(rows_.begin(), rows_.end());
    static_cast<void>(chosen(options, true));  // complains of columns that there are not, whatever the format
}

std::string table::text(const output_options& options, bool with_extra) const {
    std::string out;
    if (options.names_only) {
        for (const row& each : rows_) out += printable(each.name) + '\n';
        return out;
    }
    const std::vector<std::size_t> indices = chosen(options, with_extra);
    std::vector<std::vector<std::string>> lines;
    std::vector<std::size_t> widths(indices.size());
    const auto add_line = [&](std::vector<std::string> line) {
        for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
        lines.push_back(std::move(line));
    };
    if (!options.without_headings) {
        std::vector<std::string> headings;
        for (const std::size_t i : indices) headings.push_back(columns_[i].heading);
        add_line(std::move(headings));
    }
    for (const row& each : rows_) {
        std::vector<std::string> line;
        for (const std::size_t i : indices)
            line.push_back(to_text(each.cells[i], columns_[i].written, options));
        add_line(std::move(line));
    }
    for (std::size_t l = 0; l < lines.size(); ++l) {
        const bool is_heading = l == 0 && !options.without_headings;
        std::size_t used = 0;
        for (std::size_t i = 0; i < indices.size(); ++i) {
            const bool is_last = i + 1 == indices.size();
            std::string text = lines[l][i];
            const std::size_t room = options.terminal_columns > used ? options.terminal_columns - used : 8;
            if (is_last && options.terminal_columns != 0) text = cut(text, room);
            const std::string padding(widths[i] > width(text) ? widths[i] - width(text) : 0, ' ');
            const std::string_view color = !options.with_color ? std::string_view()
                                           : is_heading        ? bold
                                                               : color_of(text);
            const std::string shown = color.empty() ? text : std::string(color) + text + std::string(plain);
            if (is_number(columns_[indices[i]].written)) out += padding + shown;
            else out += is_last ? shown : shown + padding;
            out += is_last ? "" : "  ";
            used += widths[i] + 2;
        }
        out += '\n';
    }
    return out;
}

json table::as_json() const {
    json rows = json::array();
    for (const row& each : rows_) {
        json object = json::object();
        for (std::size_t i = 0; i < columns_.size(); ++i) object[columns_[i].key] = to_json(each.cells[i]);
        rows.push_back(std::move(object));
    }
    return rows;
}

void details::row(std::string label, std::string text, std::vector<std::pair<std::string, cell>> values) {
    lines_.emplace_back(std::move(label), std::move(text));
    for (auto& each : values) values_.push_back(std::move(each));
}

void details::value(std::string key, cell value) {
    values_.emplace_back(std::move(key), std::move(value));
}

std::string details::text() const {
    std::size_t widest = 0;
    for (const auto& [label, text] : lines_) widest = std::max(widest, label.size());
    std::string out = title_ + '\n';
    for (const auto& [label, text] : lines_)
        out += fmt::format("  {:<{}}  {}\n", label, std::max<std::size_t>(widest, 11), text);
    return out;
}

json details::as_json() const {
    json object = json::object();
    for (const auto& [key, value] : values_) object[key] = to_json(value);
    return object;
}

json to_json(const cell& value) {
    struct visitor {
        json operator()(nothing) const { return nullptr; }
        json operator()(unknown) const { return nullptr; }
        json operator()(bool is) const { return is; }
        json operator()(std::uint64_t number) const { return number; }
        json operator()(std::int64_t number) const { return number; }
        json operator()(const std::string& text) const { return text; }
        json operator()(const std::vector<std::string>& all) const { return all; }
    };
    return std::visit(visitor{}, value);
}

std::string dump(const json& document) {
    return document.dump(2, ' ', false, json::error_handler_t::replace) + '\n';
}

// ---- writing ---------------------------------------------------------------------------------------------------------

void write_out(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EPIPE) {
            // Whoever reads has seen enough: as if SIGPIPE, which our parent may have had ignored, had come.
            ::_exit(128 + SIGPIPE);
        } else if (errno != EINTR) {
            throw failure(problems_found,
                          fmt::format("cannot write the output: {}", std::generic_category().message(errno)));
        }
    }
}

void write_error(std::string_view what, std::string_view hint) {
    // One line, whatever the text came from.
    std::cerr << "shmctl: " << printable(what) << '\n';
    if (!hint.empty()) write_hint(hint);
}

void write_hint(std::string_view hint) {
    std::cerr << "hint: " << printable(hint) << '\n';
}

bool ask(const std::string& question) {
    std::cerr << printable(question) << " [y/N] " << std::flush;
    std::string answer;
    return std::getline(std::cin, answer) && (answer == "y" || answer == "Y" || answer == "yes");
}

}  // namespace shmctl
