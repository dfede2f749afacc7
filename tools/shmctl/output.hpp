// output.hpp - all that shmctl prints: one description of rows and columns gives the table, the JSON and the list of names.
//
// stdout        data only; written in one go, so that an error in the middle leaves no half table.
// stderr        errors ("shmctl: what\nhint: what to do"), hints, questions.
// Numbers       in tables for people (1.2M, 2m ago), exact with -b and in JSON, whose keys name the unit.
// Strangers     names and texts come from segments that may be anybody's: nothing unprintable reaches a terminal.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace shmctl {

using json = nlohmann::ordered_json;

enum exit_code : int {
    all_fine = 0,
    problems_found = 1,
    wrong_usage = 2,
    not_found = 3,
    not_permitted = 4,
    busy = 5,
    damaged = 6
};

/// Ends the program with that code, one line and a hint.
class failure : public std::runtime_error {
public:
    failure(exit_code code, const std::string& what, std::string hint = {})
        : std::runtime_error(what), code_(code), hint_(std::move(hint)) {}
    [[nodiscard]] exit_code code() const noexcept { return code_; }
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

private:
    exit_code code_;
    std::string hint_;
};

/// What the options say about the output.
struct output_options {
    bool as_json = false;
    bool without_headings = false;
    bool names_only = false;
    bool exact = false;  // bytes and counts
    bool with_color = false;
    bool to_terminal = false;
    unsigned terminal_columns = 0;  // 0: unlimited
    std::vector<std::string> columns;
    std::string sort_by;
    bool reversed = false;
    std::vector<std::string> filters;  // "state=orphan"
};

// ---- values --------------------------------------------------------------------------------------------------------

/// A number that a damaged segment does not tell.
struct unknown {};
/// A value that does not exist here: `-`, null.
struct nothing {};

using cell =
    std::variant<nothing, unknown, bool, std::uint64_t, std::int64_t, std::string, std::vector<std::string>>;

template <typename T>
cell known(const T& optional) {
    return optional ? cell(*optional) : cell(unknown{});
}

/// How a column's values are written.
enum class style {
    text,
    count,   // 18 204 on a terminal, else 18204
    bytes,   // 1.2M
    age,     // seconds: 2m ago
    number,  // an identifier: never grouped
    list     // in the table their number
};

std::string human_bytes(std::uint64_t bytes, const output_options& options);
std::string human_count(std::uint64_t count, const output_options& options);
std::string human_age(std::int64_t seconds);
/// Control characters and what is not UTF-8 as \xNN.
std::string printable(std::string_view text);
/// The nearest of `known` if it is near enough to be a typo, else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& known);
/// " (did you mean 'jobs'?)" or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

// ---- tables --------------------------------------------------------------------------------------------------------

struct column {
    std::string heading;
    std::string key;  // in JSON: "size_bytes"
    style written = style::text;
    bool is_extra = false;  // only with -l, and in JSON
};

class table {
public:
    explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

    /// One cell for each column. `name` is what -q prints.
    void add(std::string name, std::vector<cell> cells);
    /// Sorts and filters as the options say. Throws failure for a column that there is not.
    void arrange(const output_options& options);

    [[nodiscard]] std::string text(const output_options& options, bool with_extra = false) const;
    [[nodiscard]] json as_json() const;
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

private:
    struct row {
        std::string name;
        std::vector<cell> cells;
    };
    [[nodiscard]] std::size_t find_column(const std::string& name) const;
    [[nodiscard]] std::vector<std::size_t> chosen(const output_options& options, bool with_extra) const;

    std::vector<column> columns_;
    std::vector<row> rows_;
};

/// One thing, all about it: lines "  label   text", and the same as JSON.
class details {
public:
    explicit details(std::string title) : title_(std::move(title)) {}
    void row(std::string label, std::string text, std::vector<std::pair<std::string, cell>> values);
    /// In the JSON only.
    void value(std::string key, cell value);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] json as_json() const;

private:
    std::string title_;
    std::vector<std::pair<std::string, std::string>> lines_;
    std::vector<std::pair<std::string, cell>> values_;
};

json to_json(const cell& value);
std::string dump(const json& document);

// ---- writing ---------------------------------------------------------------------------------------------------------

/// To stdout. Throws failure when it cannot be written; a closed pipe ends the program quietly.
void write_out(std::string_view text);
/// "shmctl: what" and, in a line of its own, "hint: what to do".
void write_error(std::string_view what, std::string_view hint = {});
void write_hint(std::string_view hint);
/// Asks on the terminal; false without a "y".
bool ask(const std::string& question);

}  // namespace shmctl
