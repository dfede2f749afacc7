// main.cpp - shmctl: the command line, and what errors become.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <map>
#include <sstream>

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "verbs.hpp"
#include <cairn/error.hpp>
#include <cairn/version.hpp>

namespace shmctl {

namespace {

using verb_function = int (*)(const arguments&);

struct verb {
    const char* name;
    const char* what;
    const char* example;
    verb_function run;
};

constexpr verb verbs[] = {
    {"ls", "list the segments, or the objects of a segment",
     "  shmctl ls                                all segments\n  shmctl ls jobs                           "
     "objects of one\n"
     "  shmctl ls --filter state=orphan -q       names of what the dead have left",
     list},
    {"show", "all about a segment or an object", "  shmctl show jobs\n  shmctl show jobs/results --json",
     show},
    {"get", "contents of an object: whole, one item or a slice",
     "  shmctl get jobs/results\n  shmctl get jobs/results[-1]\n  shmctl get 'jobs/*[0:3]' --json", get},
    {"rm", "remove segments or objects",
     "  shmctl rm jobs\n  shmctl rm jobs/results\n  shmctl rm 'test.*' --dry-run", remove},
    {"gc", "remove the segments that no living process uses, forget dead processes",
     "  shmctl gc --dry-run\n  shmctl gc --older-than 1h", collect},
    {"verify", "check every invariant; exit 0 clean, 1 problems, 6 unreadable",
     "  shmctl verify jobs\n  shmctl verify --deep ./saved-segment", verify},
    {"pool", "pools of worker processes: what waits, what runs where, who died",
     "  shmctl pool                              all pools\n  shmctl pool pid:4711/anonymous-1 --json",
     show_pools},
    {"svc", "services: status, scale, reload, restart, stop; also while their manager is stopped",
     "  shmctl svc status                        all that have a name\n  shmctl svc scale web printer=4\n"
     "  shmctl svc restart web printer\n  shmctl svc stop web",
     control_services},
};

std::vector<std::string> verb_names() {
    std::vector<std::string> names;
    for (const verb& each : verbs) names.emplace_back(each.name);
    names.emplace_back("help");
    names.emplace_back("version");
    return names;
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::istringstream stream(text);
    for (std::string part; std::getline(stream, part, ',');)
        if (!part.empty()) parts.push_back(part);
    return parts;
}

// The whole command line. CLI11 holds references to the members.
class command_line {
public:
    command_line()
        : app_("Looks into shared-memory segments of Cairn, and tidies up after the dead.", "shmctl") {
        app_.footer("A TARGET is SEGMENT, SEGMENT/OBJECT, SEGMENT/OBJECT[INDEX or A:B], a glob of these,\n"
                    "pid:1234/SEGMENT for an anonymous segment, or the path of a saved image.\n"
                    "Exit codes: 0 fine, 1 no or problems found, 2 usage, 3 no such segment or object,\n"
                    "4 permission, 5 busy, 6 damaged or incompatible, 128+n signal n.\n\n"
                    "Example:\n  shmctl ls jobs && shmctl get jobs/results");
        app_.require_subcommand(0, 1);
        app_.allow_extras();
        app_.fallthrough();
        app_.set_help_flag("-h,--help", "print this, or the help of the verb");
        app_.add_flag("--version", wants_version_, "print the version");
        app_.add_flag("--json", given_.output.as_json,
                      "one JSON document, units in names (size_bytes, age_seconds)");
        app_.add_option("-o,--columns", columns_, "print these columns only, in this order")
            ->type_name("COL,COL");
        app_.add_flag("-n,--no-headings", given_.output.without_headings, "no line of headings");
        app_.add_flag("-q,--quiet", given_.output.names_only, "names only, one a line");
        app_.add_flag("-b,--bytes", given_.output.exact, "exact numbers of bytes");
        app_.add_option("--color", color_, "when to use colours: auto, always, never; NO_COLOR means never")
            ->type_name("WHEN");
        app_.add_option("--dir", directory_, "look for named segments there instead of in /dev/shm")
            ->type_name("DIR");
        for (const verb& each : verbs) add_verb(each);
        CLI::App* help = app_.add_subcommand("help", "print the help of a verb");
        help->add_option("verb", help_verb_, "which")->type_name("VERB");
        app_.add_subcommand("version", "print the version");
    }

    int run(int argc, char** argv) {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::CallForHelp&) {
            write_out(help_text());
            return all_fine;
        } catch (const CLI::ParseError& e) {
            throw failure(wrong_usage, e.what(), usage_hint());
        }
        const std::vector<CLI::App*> chosen = app_.get_subcommands();
        refuse_extras(chosen.empty());
        const std::string name = chosen.empty() ? "ls" : chosen.front()->get_name();
        if (wants_version_ || name == "version") {
            write_out(fmt::format("shmctl {}, reads format {}\n", cairn::version(), cairn::format_version()));
            return all_fine;
        }
        if (name == "help") return print_help();
        finish_options();
        for (const verb& each : verbs)
            if (name == each.name) return each.run(given_);
        return wrong_usage;
    }

private:
    void add_verb(const verb& each) {
        CLI::App* sub = app_.add_subcommand(each.name, each.what);
        sub->footer(fmt::format("`shmctl help` has the options of all verbs and says what a TARGET is.\n\n"
                                "Example:\n{}",
                                each.example));
        const std::string name = each.name;
        if (name == "svc")
            sub->add_option("words", given_.targets,
                            "status [NAME...], scale NAME SERVICE=N..., reload NAME [SERVICE...],\n"
                            "restart NAME [SERVICE...], stop NAME [SERVICE...]; NAME is the manager's")
                ->type_name("ACTION");
        else sub->add_option("target", given_.targets, "segment or object")->type_name("TARGET");
        if (name == "ls") {
            sub->add_flag("-l,--long", given_.is_long, "all columns");
            sub->add_option("-s,--sort", given_.output.sort_by, "sort by that column")->type_name("COL");
            sub->add_flag("-r,--reverse", given_.output.reversed, "the other way round");
            sub->add_option("--filter", given_.output.filters,
                            "only rows whose column has that value; a glob")
                ->type_name("COL=VALUE")
                ->allow_extra_args(false);
        } else if (name == "get") {
            sub->add_flag("--raw", given_.raw, "one item a line, texts as they are");
            sub->add_option("--limit", given_.limit, "that many items at most")->type_name("N");
        } else if (name == "rm") {
            sub->add_flag("--dry-run", given_.dry_run, "say what would be removed");
            sub->add_flag("-f,--force", given_.force,
                          "also what living processes use, and what is damaged or foreign");
            sub->add_flag("-y,--yes", given_.yes, "do not ask");
        } else if (name == "gc") {
            sub->add_flag("--dry-run", given_.dry_run, "say what would be done");
            sub->add_option("--older-than", given_.older_than,
                            "only segments created so long ago: 90s, 10m, 1h, 2d")
                ->type_name("TIME");
        } else if (name == "svc") {
            sub->add_flag("--dry-run", given_.dry_run, "say what would be ordered");
            sub->add_flag("-f,--force", given_.force, "stop without asking");
            sub->add_flag("--kill", given_.kills, "stop by SIGKILL");
        } else if (name == "verify") {
            sub->add_flag("--deep", given_.deep, "decode every element, too");
        }
    }

    std::string help_text() const {
        const std::vector<CLI::App*> chosen = app_.get_subcommands();
        return chosen.empty() ? app_.help() : chosen.front()->help("shmctl");
    }

    int print_help() {
        if (help_verb_.empty()) {
            // Not app_.help(), which is that of the verb that was given: of this one.
            write_out(app_.get_formatter()->make_help(&app_, "shmctl", CLI::AppFormatMode::Normal));
            return all_fine;
        }
        const std::vector<std::string> names = verb_names();
        if (std::find(names.begin(), names.end(), help_verb_) == names.end())
            throw failure(wrong_usage, "no verb '" + help_verb_ + "'" + did_you_mean(help_verb_, names),
                          "`shmctl help` lists the verbs");
        write_out(app_.get_subcommand(help_verb_)->help("shmctl"));
        return all_fine;
    }

    std::string usage_hint() const {
        const std::vector<CLI::App*> chosen = app_.get_subcommands();
        return chosen.empty()
                   ? "`shmctl help` says what there is"
                   : fmt::format("`shmctl help {}` says what it takes", chosen.front()->get_name());
    }

    // Of the verb, and those of all verbs.
    std::vector<std::string> option_names() const {
        std::vector<std::string> names;
        const auto add = [&](const CLI::App* from) {
            for (const CLI::Option* each : from->get_options())
                for (const std::string& name : each->get_lnames()) names.push_back("--" + name);
        };
        add(&app_);
        for (const CLI::App* chosen : app_.get_subcommands()) add(chosen);
        return names;
    }

    void refuse_extras(bool without_verb) const {
        const std::vector<std::string> extras = app_.remaining();
        if (extras.empty()) return;
        const std::string& word = extras.front();
        if (word.starts_with('-')) {
            const std::string name = word.substr(0, word.find('='));
            throw failure(wrong_usage, "no option '" + word + "'" + did_you_mean(name, option_names()),
                          usage_hint());
        }
        if (without_verb)
            throw failure(wrong_usage, "no verb '" + word + "'" + did_you_mean(word, verb_names()),
                          "`shmctl help` lists the verbs; `shmctl ls " + word + "` looks into a segment");
        throw failure(wrong_usage, "too many words: '" + word + "'", usage_hint());
    }

    void finish_options() {
        output_options& output = given_.output;
        output.columns = split(columns_);
        output.to_terminal = ::isatty(STDOUT_FILENO) == 1;
        if (output.to_terminal) {
            winsize size{};
            if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) output.terminal_columns = size.ws_col;
        }
        const char* no_color = std::getenv("NO_COLOR");
        const char* terminal = std::getenv("TERM");
        const bool forbids_color = no_color != nullptr && *no_color != '\0';
        const bool is_dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
        if (color_ != "auto" && color_ != "always" && color_ != "never")
            throw failure(wrong_usage, "--color is '" + color_ + "'", "expected auto, always or never");
        const bool wants_color = color_ == "always" || (color_ == "auto" && output.to_terminal && !is_dumb);
        output.with_color = wants_color && !forbids_color;
        if (!directory_.empty()) cairn::use_segment_directory(directory_);
    }

    CLI::App app_;
    arguments given_;
    std::string columns_;
    std::string color_ = "auto";
    std::string directory_;
    std::string help_verb_;
    bool wants_version_ = false;
};

// The message, and the advice behind its last "; ".
std::pair<std::string, std::string> split_advice(const std::string& text) {
    const std::size_t at = text.rfind("; ");
    if (at == std::string::npos) return {text, {}};
    return {text.substr(0, at), text.substr(at + 2)};
}

}  // namespace

exit_code code_of(const std::exception& e) noexcept {
    if (const auto* own = dynamic_cast<const failure*>(&e)) return own->code();
    if (dynamic_cast<const cairn::no_such_segment*>(&e) != nullptr ||
        dynamic_cast<const cairn::no_such_object*>(&e) != nullptr ||
        dynamic_cast<const cairn::object_gone*>(&e) != nullptr)
        return not_found;
    if (dynamic_cast<const cairn::permission_denied*>(&e) != nullptr) return not_permitted;
    if (dynamic_cast<const cairn::timeout_error*>(&e) != nullptr) return busy;
    if (dynamic_cast<const cairn::corrupt_segment*>(&e) != nullptr ||
        dynamic_cast<const cairn::version_mismatch*>(&e) != nullptr ||
        dynamic_cast<const cairn::refused*>(&e) != nullptr ||
        dynamic_cast<const cairn::object_poisoned*>(&e) != nullptr)
        return damaged;
    if (dynamic_cast<const cairn::invalid_name*>(&e) != nullptr ||
        dynamic_cast<const cairn::invalid_argument*>(&e) != nullptr)
        return wrong_usage;
    return problems_found;
}

int report(const std::exception& e) {
    if (const auto* own = dynamic_cast<const failure*>(&e)) {
        write_error(own->what(), own->hint());
    } else {
        const auto [what, advice] = split_advice(e.what());
        write_error(what, advice);
    }
    return code_of(e);
}

int for_each_target(const std::vector<std::string>& targets,
                    const std::function<int(const std::string&)>& action) {
    int worst = all_fine;
    for (const std::string& text : targets) {
        try {
            worst = std::max(worst, action(text));
        } catch (const std::exception& e) {
            worst = std::max(worst, report(e));
        }
    }
    return worst;
}

int for_each_segment(const target& wanted, const std::function<int(const cairn::segment_location&)>& action) {
    const std::vector<cairn::segment_location> found = find_targets(wanted);
    if (found.size() == 1) return action(found.front());
    int worst = all_fine;
    for (const cairn::segment_location& where : found) {
        try {
            worst = std::max(worst, action(where));
        } catch (const std::exception& e) {
            worst = std::max(worst, report(e));
        }
    }
    return worst;
}

}  // namespace shmctl

int main(int argc, char** argv) {
    // A parent that ignores SIGPIPE (Python does) would have us complain where others are quiet.
    std::signal(SIGPIPE, SIG_DFL);
    try {
        return shmctl::command_line().run(argc, argv);
    } catch (const std::exception& e) {
        return shmctl::report(e);
    }
}
