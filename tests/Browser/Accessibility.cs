using System.Text.Json;
using Deque.AxeCore.Commons;
using Microsoft.Playwright;

namespace Gongzhi.Tests.Browser;

/// <summary>
/// The rules of axe-core, run inside the page. Our pages have no frames; Deque's own way for Playwright, which gathers frames, opens a tab for every
/// answer, and that took most of the time of these tests.
/// </summary>
internal static class Accessibility
{
    private static readonly string Script = new BundledAxeScriptProvider().GetScript();
    private static readonly JsonSerializerOptions Web = new(JsonSerializerDefaults.Web);

    /// <summary>Fails for every finding above minor.</summary>
    /// <param name="view">Named in the findings.</param>
    /// <param name="rules">The only rules to look at; all when there are none.</param>
    public static async Task AssertAsync(IPage page, string view, params string[] rules)
    {
        if (!await page.EvaluateAsync<bool>("() => !!window.axe"))
            await page.EvaluateAsync(Script);
        var json = await page.EvaluateAsync<string>(
            """
            async rules => {
                if (document.querySelector('iframe, frame')) throw new Error('The page has frames, which are not looked into.');
                const found = await axe.run(document, rules.length ? { runOnly: { type: 'rule', values: rules } } : {});
                if (!found.passes.length) throw new Error('No rule applied.');
                return JSON.stringify(found.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help, where: v.nodes.slice(0, 3).map(n => n.html) })));
            }
            """, rules);
        var findings = JsonSerializer.Deserialize<List<Finding>>(json, Web)!;
        Assert.Empty(findings.Where(f => f.Impact is "serious" or "critical" or "moderate").Select(f => $"{view}: {f.Impact} {f.Id}: {f.Help}: {string.Join(" | ", f.Where)}"));
    }

    private sealed record Finding(string Id, string Impact, string Help, IReadOnlyList<string> Where);
}
