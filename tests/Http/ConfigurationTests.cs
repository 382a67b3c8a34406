using System.Reflection;
using System.Resources;
using System.Text.RegularExpressions;
using Gongzhi.Capabilities.Http;
using Gongzhi.Node.Hosting;
using Gongzhi.Node.Web;
using Gongzhi.Tests.Shared;
using Microsoft.Extensions.Configuration;

namespace Gongzhi.Tests.Http;

public sealed class ConfigurationTests
{
    [Theory]
    [InlineData("Gongzhi:Dta", "Did you mean Data?")]
    [InlineData("Gongzhi:Entirely", "There is no setting Gongzhi:Entirely.")]
    public void An_unknown_setting_stops_the_start_with_a_sentence(string key, string sentence)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create(key, (string?)"x")]).Build();
        var refused = Assert.Throws<StartRefusedException>(() => NodeConfiguration.Bind(configuration));
        Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("SessionHours", "0")]
    [InlineData("SessionHours", "soon")]
    [InlineData("World", "Main World")]
    [InlineData("BootstrapClient", "short:secret")]
    [InlineData("PublicUrl", "not a url")]
    [InlineData("TimeZone", "Middle-earth")]
    public void A_setting_out_of_its_limits_stops_the_start(string name, string value)
    {
        var configuration = new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create("Gongzhi:" + name, (string?)value)]).Build();
        Assert.Throws<StartRefusedException>(() => NodeConfiguration.Bind(configuration));
    }

    [Fact]
    public void The_command_line_wins_over_the_file()
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, """{"Gongzhi":{"World":"fromfile","SessionHours":3}}""");
        var (options, _) = NodeConfiguration.Read(file, [KeyValuePair.Create("World", (string?)"fromline")]);
        File.Delete(file);
        Assert.Equal("fromline", options.World);
        Assert.Equal(3, options.SessionHours);
    }

    [Fact]
    public void Every_setting_is_documented_with_its_default_and_nothing_else_is()
    {
        var documented = Regex.Matches(File.ReadAllText(Repository.At("docs/contracts/configuration.md")), @"^\| `(\w+)` \| `([^`|]*)` \|", RegexOptions.Multiline)
            .ToDictionary(m => m.Groups[1].Value, m => m.Groups[2].Value);
        var defaults = new NodeOptions();
        var real = typeof(NodeOptions).GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .ToDictionary(p => p.Name, p => Convert.ToString(p.GetValue(defaults), System.Globalization.CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : "none");
        Assert.Equal(real.OrderBy(p => p.Key, StringComparer.Ordinal), documented.OrderBy(p => p.Key, StringComparer.Ordinal));
    }

    [Fact]
    public void Every_problem_code_of_the_host_is_documented_with_its_status_and_speaks_both_languages()
    {
        var documented = DocumentedProblems();
        var texts = new ResourceManager("Gongzhi.Capabilities.Http.Problems", typeof(ProblemWriting).Assembly);
        foreach (var problem in HostProblems.All)
        {
            Assert.True(documented.TryGetValue(problem.Code, out var status), $"{problem.Code} is not in docs/contracts/problems.md");
            Assert.Equal(problem.Status, status);
            foreach (var part in new[] { ".title", ".detail" })
            {
                var chinese = texts.GetString(problem.Code + part, ReaderLanguage.Chinese);
                var english = texts.GetString(problem.Code + part, ReaderLanguage.English);
                Assert.NotEmpty(english!);
                Assert.NotEqual(english, chinese);
            }
            Assert.Equal(problem.Detail, texts.GetString(problem.Code + ".detail", ReaderLanguage.English));
        }
        var listed = typeof(HostProblems).GetFields(BindingFlags.Public | BindingFlags.Static).Length;
        Assert.Equal(listed, HostProblems.All.Count);
    }

    [Fact]
    public void Every_problem_code_in_the_sources_is_documented_and_every_documented_code_is_used()
    {
        var used = Directory.EnumerateFiles(Repository.At("src"), "*.cs", SearchOption.AllDirectories)
            .Where(f => !f.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal))
            .SelectMany(f => Regex.Matches(File.ReadAllText(f), "Problem\\.(?:BadRequest|Denied|NotFound|Conflict|Invalid)\\(\\s*\"([a-z][A-Za-z0-9.-]*)\"|new Problem\\(\\s*\"([a-z][A-Za-z0-9.-]*)\""))
            .Select(m => m.Groups[1].Success ? m.Groups[1].Value : m.Groups[2].Value)
            .Concat(HostProblems.All.Select(p => p.Code)).ToHashSet();
        var documented = DocumentedProblems().Keys.ToHashSet();
        Assert.Empty(used.Except(documented).Order());
        Assert.Empty(HostProblems.All.Select(p => p.Code).Except(documented));
    }

    private static Dictionary<string, int> DocumentedProblems() =>
        Regex.Matches(File.ReadAllText(Repository.At("docs/contracts/problems.md")), @"^\| `([A-Za-z0-9.-]+)` \| (\d{3}) \|", RegexOptions.Multiline)
            .ToDictionary(m => m.Groups[1].Value, m => int.Parse(m.Groups[2].Value, System.Globalization.CultureInfo.InvariantCulture));
}
