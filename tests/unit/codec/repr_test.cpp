// repr_test.cpp - Python's notation, compared with what Python itself writes.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/manager.hpp>
#include <cairn/repr.hpp>

namespace repr_test {

using namespace cairn_test;

namespace {

// The lines that python3 prints for a program; empty where there is no python3.
std::vector<std::string> python(const std::string& program) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(
        ::popen(("python3 -X utf8 -c '" + program + "' 2>/dev/null").c_str(), "r"), &::pclose);
    std::vector<std::string> lines;
    std::string line;
    for (int c = 0; out && (c = std::fgetc(out.get())) != EOF;) {
        if (c != '\n') {
            line += static_cast<char>(c);
            continue;
        }
        lines.push_back(line);
        line.clear();
    }
    return lines;
}

}  // namespace

TEST_CASE("numbers, truth and text are written as Python writes them") {
    CHECK(cairn::repr(1) == "1");
    CHECK(cairn::repr(-7L) == "-7");
    CHECK(cairn::repr(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
    CHECK(cairn::repr(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
    CHECK(cairn::repr(true) == "True");
    CHECK(cairn::repr(2.0) == "2.0");
    CHECK(cairn::repr(0.1f) == "0.1");
    CHECK(cairn::repr(std::string("it's")) == "\"it's\"");
    CHECK(cairn::repr("a \"b\" 'c'") == "'a \"b\" \\'c\\''");
    CHECK(cairn::repr(std::vector<std::string>{"a", "b\n"}) == "['a', 'b\\n']");
    CHECK(cairn::repr(std::vector<double>{}) == "[]");
    CHECK(cairn::repr(std::vector<std::vector<int>>{{1}, {}, {2, 3}}) == "[[1], [], [2, 3]]");
    CHECK(cairn::repr(std::vector<bool>{true, false}) == "[True, False]");
    CHECK(cairn::repr(static_cast<unsigned char>(65)) == "65");
}

TEST_CASE("what is not UTF-8 is written byte by byte, and a struct by its bytes") {
    CHECK(cairn::repr(std::string("ok\xff\xc3")) == "'ok\\xff\\xc3'");
    CHECK(cairn::repr(std::string("\xed\xa0\x80")) == "'\\xed\\xa0\\x80'");
    CHECK(contains(cairn::repr(value_of<small_struct>::make(1)), "<struct[24,8] 01000000"));
    CHECK(contains(cairn::repr(value_of<large_struct>::make(1)), "...>"));
}

TEST_CASE("a list and its proxies print as what they hold") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"a", "b"});
    std::ostringstream text;
    text << l << ' ' << l[1];
    CHECK(text.str() == "['a', 'b'] 'b'");
    CHECK(cairn::repr(l) == "['a', 'b']");
    CHECK(cairn::repr(l[0]) == "'a'");
    CHECK(cairn::repr(m.list<double>({1.5, 2})) == "[1.5, 2.0]");
}

TEST_CASE("floating-point numbers are what python3 prints") {
    std::vector<double> values = {0.0,
                                  -0.0,
                                  1.0,
                                  0.1,
                                  1.0 / 3,
                                  1e15,
                                  1e16,
                                  1e17,
                                  123456789012345680.0,
                                  1e22,
                                  1e-4,
                                  1e-5,
                                  0.00012,
                                  1e100,
                                  1e-100,
                                  5e-324,
                                  1.7976931348623157e308,
                                  9999999999999998.0,
                                  99999999999999990.0,
                                  2.5,
                                  1e5,
                                  123456.789,
                                  -1e-7,
                                  3.14159};
    std::string program = "for x in [";
    for (const double value : values) {
        char digits[40];
        std::snprintf(digits, sizeof digits, "%.17g,", value);
        program += digits;
    }
    program += "float(\"inf\"),float(\"-inf\"),float(\"nan\")]: print(repr(x))";
    // "-0" and "1" would be integers to Python
    program.replace(program.find(": print(repr(x))"), 16,
                    ": print(repr(float(x) if x != 0 or str(x)[0] != chr(45) else x))");
    values.insert(values.end(),
                  {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                   std::numeric_limits<double>::quiet_NaN()});
    const std::vector<std::string> lines = python(program);
    if (lines.size() != values.size()) {
        MESSAGE("no python3 here: skipped");
        return;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i == 1) continue;  // -0.0 is written as "-0" above, an integer to Python
        CHECK(cairn::repr(values[i]) == lines[i]);
    }
    CHECK(cairn::repr(-0.0) == "-0.0");
}

TEST_CASE("text is what python3 prints, whatever the character") {
    // Every character up to U+0250 and some of each kind beyond, one by one.
    const std::vector<std::string> lines = python(
        "cs=list(range(1,0x250))+[0x2028,0x200b,0xfeff,0x20ac,0x4e2d,0x1f600,0xe000,0x10ffff,0xad,0x3000]\n"
        "for c in cs: print(chr(c).encode().hex(), repr(chr(c)))");
    if (lines.empty()) {
        MESSAGE("no python3 here: skipped");
        return;
    }
    for (const std::string& line : lines) {
        const std::string hex = line.substr(0, line.find(' '));
        std::string text;
        for (std::size_t i = 0; i < hex.size(); i += 2)
            text += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
        CAPTURE(hex);
        CHECK(cairn::repr(text) == line.substr(line.find(' ') + 1));
    }
}

}  // namespace repr_test
