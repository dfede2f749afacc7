#include "subjects.hpp"

#include <sstream>
#include <string>
#include <vector>

#include "support/values.hpp"
#include <cairn/cairn.hpp>
#include <cairn/repr.hpp>

namespace cairn_test {

namespace {

// ---- lists ---------------------------------------------------------------------------------------------------------

template <typename T, std::size_t Count>
void build_list(const cairn::manager& in, const char* name) {
    std::vector<T> values;
    for (std::size_t i = 0; i < Count; ++i) values.push_back(value_of<T>::make(i));
    const auto l = in.list<T>(name, values);
    // Freed blocks, between ones that are in use.
    l.erase(Count / 3, Count / 2);
    for (std::size_t i = 0; i < Count / 8; ++i) l.push_back(value_of<T>::make(i));
}

template <typename T>
void read_list(const cairn::list<T>& l, attempts& attempt) {
    attempt("name", [&] { static_cast<void>(l.name()); });
    std::size_t size = 0;
    attempt("size", [&] { size = l.size(); });
    for (const std::size_t index :
         {std::size_t{0}, size / 2, size - 1, size, std::size_t{200}, std::size_t{1} << 40})
        attempt("at", [&] { static_cast<void>(l.at(index)); });
    attempt("back", [&] { static_cast<void>(l.back()); });
    attempt("empty", [&] { static_cast<void>(l.empty()); });
    attempt("operator[]", [&] { static_cast<void>(static_cast<T>(l[size / 3])); });
    attempt("snapshot", [&] { static_cast<void>(l.snapshot()); });
    attempt("slice", [&] { static_cast<void>(l.slice(3, 90, 7)); });
    attempt("slice", [&] { static_cast<void>(l.slice(size / 2, size + 5)); });
    const T value = value_of<T>::make(40);
    attempt("index", [&] { static_cast<void>(l.index(value)); });
    attempt("count", [&] { static_cast<void>(l.count(value)); });
    attempt("contains", [&] { static_cast<void>(l.contains(value)); });
    attempt("begin", [&] {
        std::size_t steps = 0;
        for (const T& each : l) {
            static_cast<void>(each);
            if (++steps == 100) break;
        }
    });
    attempt("for_each", [&] { l.for_each([](const T&) {}); });
    if constexpr (requires(std::ostream& to) { to << l; })
        attempt("operator<<", [&] { std::ostringstream() << l; });
}

template <typename T>
void write_list(const cairn::list<T>& l, attempts& attempt) {
    const T value = value_of<T>::make(40);
    const T large = value_of<T>::make(97);
    // Over the ends of chunks, so that some need room.
    for (int i = 0; i < 24; ++i) attempt("push_back", [&] { l.push_back(value); });
    attempt("push_back", [&] { l.push_back(large); });
    attempt("emplace_back", [&] { l.emplace_back(value); });
    attempt("extend", [&] { l.extend(std::vector<T>(70, value)); });
    attempt("set", [&] { l.set(0, large); });
    attempt("set", [&] { l.set(90, value); });
    attempt("operator[]", [&] { l[5] = value; });
    attempt("update", [&] { l.update(7, [&](T& each) { each = value; }); });
    attempt("insert", [&] { l.insert(0, value); });
    attempt("insert", [&] { l.insert(150, large); });
    attempt("pop", [&] { static_cast<void>(l.pop()); });
    attempt("pop", [&] { static_cast<void>(l.pop(3)); });
    attempt("erase", [&] { l.erase(4); });
    attempt("erase", [&] { l.erase(10, 60); });
    attempt("remove", [&] { l.remove(value); });
    attempt("erase_if", [&] {
        std::size_t steps = 0;
        erase_if(l, [&](const T&) { return ++steps % 16 == 0; });
    });
    attempt("reverse", [&] { l.reverse(); });
    attempt("sort", [&] { l.sort(); });
    attempt("reserve", [&] { l.reserve(2000); });
    for (int i = 0; i < 24; ++i) attempt("pop", [&] { static_cast<void>(l.pop()); });
    attempt("clear", [&] { l.clear(); });
    for (int i = 0; i < 4; ++i) attempt("push_back", [&] { l.push_back(large); });
}

template <typename T>
std::function<void(attempts&, bool)> open_list(const cairn::manager& in, const char* name) {
    const auto l = in.find<cairn::list<T>>(name);
    if (!l) throw cairn::no_such_object("the object is not found any more");
    return [l = *l](attempts& attempt, bool writes) {
        read_list(l, attempt);
        if (writes) write_list(l, attempt);
        read_list(l, attempt);
    };
}

template <typename T, std::size_t Count>
constexpr subject list_of(const char* name) {
    return {name, &build_list<T, Count>, &open_list<T>};
}

// A row for each form in which elements are stored. The strings and vectors have large ones among them.
constexpr subject all[] = {
    list_of<long, 700>("numbers"),
    list_of<std::string, 240>("texts"),
    list_of<std::vector<int>, 100>("vectors"),
    list_of<small_struct, 90>("structs"),
    list_of<bool, 300>("flags"),
};

}  // namespace

std::span<const subject> subjects() {
    return all;
}

}  // namespace cairn_test
