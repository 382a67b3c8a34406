using System.Text.Json;
using System.CommandLine;
using System.CommandLine.Help;
using System.Text.RegularExpressions;
using CsCheck;
using Gongzhi.Node.Cli;
using Gongzhi.Tests.Shared;

namespace Gongzhi.Tests.Http;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("amount>=100", """{"field":"amount","op":"ge","value":100}""")]
    [InlineData("amount = -12.50", """{"field":"amount","op":"eq","value":-12.50}""")]
    [InlineData("code = 007", """{"field":"code","op":"eq","value":"007"}""")]
    [InlineData("code = \"7\"", """{"field":"code","op":"eq","value":"7"}""")]
    [InlineData("day <> 2010-01-31", """{"field":"day","op":"ne","value":"2010-01-31"}""")]
    [InlineData("paid = TRUE", """{"field":"paid","op":"eq","value":true}""")]
    [InlineData("place within 120101", """{"field":"place","op":"within","value":"120101"}""")]
    [InlineData("name startswith '天津'", """{"field":"name","op":"startsWith","value":"天津"}""")]
    [InlineData("name = 'it''s'", """{"field":"name","op":"eq","value":"it's"}""")]
    [InlineData("`odd name` in (1, 'b',c)", """{"field":"odd name","op":"in","value":[1,"b","c"]}""")]
    [InlineData("a is null", """{"field":"a","op":"isNull","value":true}""")]
    [InlineData("a is not null", """{"not":{"field":"a","op":"isNull","value":true}}""")]
    [InlineData("amount>=100 and place within 120101 or not (name contains \"x\")",
        """{"or":[{"and":[{"field":"amount","op":"ge","value":100},{"field":"place","op":"within","value":"120101"}]},{"not":{"field":"name","op":"contains","value":"x"}}]}""")]
    [InlineData("a=1 and (b=2 or c=3) and d=4",
        """{"and":[{"field":"a","op":"eq","value":1},{"or":[{"field":"b","op":"eq","value":2},{"field":"c","op":"eq","value":3}]},{"field":"d","op":"eq","value":4}]}""")]
    public void A_condition_becomes_the_filter_of_the_api(string where, string filter)
    {
        using var expected = JsonDocument.Parse(filter);
        using var actual = JsonDocument.Parse(WhereExpression.Parse(where).ToJsonString());
        Assert.True(JsonElement.DeepEquals(expected.RootElement, actual.RootElement), actual.RootElement.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("a")]
    [InlineData("a =")]
    [InlineData("a = 1 b")]
    [InlineData("a = 'x")]
    [InlineData("(a = 1")]
    [InlineData("a in ()")]
    [InlineData("a like 3")]
    [InlineData("\"a\" = 3")]
    [InlineData("a ! b")]
    public void A_condition_that_cannot_be_read_says_where(string where) =>
        Assert.NotEmpty(Assert.Throws<WhereException>(() => WhereExpression.Parse(where)).Message);

    [Fact]
    public void Deep_nesting_and_long_conditions_are_refused()
    {
        Assert.Throws<WhereException>(() => WhereExpression.Parse(new string('(', 5_000) + "a=1" + new string(')', 5_000)));
        Assert.Throws<WhereException>(() => WhereExpression.Parse(new string('x', WhereExpression.LengthMax + 1)));
    }

    private static readonly string[] Pieces =
        ["a", "=", "(", ")", " and ", " or ", " not ", "'x'", "1.", "-", " is ", " null", " in ", ",", "`", "1e5", "..", "00", "0.5"];

    [Fact]
    public void Any_text_is_either_a_filter_or_a_sentence() =>
        Gen.OneOf(Gen.String, Gen.Int[0, Pieces.Length - 1].Array[0, 12].Select(pick => string.Concat(pick.Select(i => Pieces[i]))))
            .Sample(text =>
            {
                try
                {
                    WhereExpression.Parse(text);
                }
                catch (WhereException)
                {
                    // The other allowed outcome.
                }
            });

    [Theory]
    [InlineData("total=sum(amount)", """{"name":"total","function":"sum","field":"amount"}""")]
    [InlineData("n = count()", """{"name":"n","function":"count"}""")]
    [InlineData("n=count(*)", """{"name":"n","function":"count"}""")]
    public void A_measure_is_read(string text, string json) =>
        Assert.Equal(json, QueryCommand.Measure(text).ToJsonString());

    [Theory]
    [InlineData("sum(amount)")]
    [InlineData("a=b")]
    [InlineData("=sum(x)")]
    public void A_measure_that_cannot_be_read_is_wrong_usage(string text) =>
        Assert.Equal(ExitCode.Usage, Assert.Throws<CliException>(() => QueryCommand.Measure(text)).ExitCode);

    [Fact]
    public void Wrong_rows_are_told_one_a_line()
    {
        using var problem = JsonDocument.Parse("""
            {"code":"records.invalid","detail":"The file has wrong rows.","errorCount":2,
             "errors":[{"row":7,"field":"amount","code":"type","message":"not a number"},{"row":9,"code":"width","message":"too many cells"}]}
            """);
        Assert.Equal(["The file has wrong rows. (records.invalid)", "row 7, amount: not a number", "row 9: too many cells"],
            NodeClient.Describe(problem.RootElement, 422).Split(Environment.NewLine));
    }

    [Fact]
    public async Task The_program_tells_usage_from_unavailable()
    {
        Assert.NotEmpty(GongzhiCommand.Create().Parse(["import"]).Errors);
        Assert.NotEmpty(GongzhiCommand.Create().Parse(["query", "--dataset", "d", "--purpose", "p", "--format", "xls"]).Errors);
        var exit = await GongzhiCommand.Create().Parse(["query", "--dataset", "d", "--purpose", "p", "--url", "http://127.0.0.1:9", "--client", "a:b"]).InvokeAsync();
        Assert.Equal(ExitCode.Unavailable, exit);
        await using var node = await TestNode.StartAsync();
        exit = await GongzhiCommand.Create().Parse(["query", "--dataset", "d", "--purpose", "p", "--url", node.Address.ToString(), "--client", "a:b"]).InvokeAsync();
        Assert.Equal(ExitCode.Refused, exit);
        exit = await GongzhiCommand.Create().Parse(["query", "--dataset", "d", "--purpose", "p", "--where", "a ==", "--url", node.Address.ToString(), "--client", $"{TestNode.Client}:{TestNode.Secret}"]).InvokeAsync();
        Assert.Equal(ExitCode.Usage, exit);
    }

    /// <summary>docs/guide/command-line.md has a section for each verb, and in it each option the verb takes; a verb says what it does and shows how.</summary>
    [Fact]
    public void Every_verb_and_option_is_documented()
    {
        var page = File.ReadAllText(Path.Combine(Repository.Root, "docs", "guide", "command-line.md"));
        var sections = Regex.Split(page, "^#{2,3} ", RegexOptions.Multiline).Skip(1).Select(s => s.Split('\n', 2)).ToDictionary(s => s[0].Trim(), s => s[1]);
        var (verbs, missing) = (0, new List<string>());
        foreach (var command in GongzhiCommand.Create().Subcommands)
            Look(command, "");
        Assert.Empty(missing);
        Assert.True(verbs > 25, $"Only {verbs} verbs were looked at.");

        void Look(Command command, string above)
        {
            verbs++;
            var path = (above + " " + command.Name).TrimStart();
            if (string.IsNullOrWhiteSpace(command.Description))
                missing.Add(path + " says nothing of itself");
            if (command is Verb { Examples.Count: 0 } && command.Subcommands.Count == 0)
                missing.Add(path + " shows no example");
            if (!sections.TryGetValue(path, out var section))
                missing.Add(path + " has no section");
            else
                missing.AddRange(command.Options.Where(o => o is not HelpOption && !Regex.IsMatch(section, $"`{o.Name}`")).Select(o => $"{path} {o.Name}"));
            foreach (var below in command.Subcommands)
                Look(below, path);
        }
    }

    [Fact]
    public void Every_example_of_the_help_is_a_command_line_that_parses()
    {
        var examples = 0;
        foreach (var verb in All(GongzhiCommand.Create()).OfType<Verb>())
        {
            foreach (var example in verb.Examples)
            {
                // As a shell cuts it: quotes, and what comes before a redirection.
                var words = System.CommandLine.Parsing.CommandLineParser.SplitCommandLine(example.Replace('\'', '"').Split(" > ")[0].Split(" < ")[0]).ToArray();
                var parsed = GongzhiCommand.Create().Parse(words);
                Assert.True(parsed.Errors.Count == 0, $"{example}: {string.Join(' ', parsed.Errors.Select(e => e.Message))}");
                examples++;
            }
        }
        Assert.True(examples > 20, $"Only {examples} examples.");

        static IEnumerable<Command> All(Command command) => command.Subcommands.SelectMany(All).Prepend(command);
    }
}
