using System.Text.RegularExpressions;
using Gongzhi.Ui;
using Gongzhi.Ui.Components;
using Gongzhi.Ui.Dev;
using Gongzhi.Ui.Views;
using Microsoft.AspNetCore.Components;
using Xunit;

namespace Gongzhi.Tests.Ui;

public sealed partial class ViewTests
{
    public static TheoryData<string, string> Cultures_and_states
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var culture in new[] { "zh-CN", "en" })
            {
                foreach (var state in new[] { "ready", "loading", "denied", "failed" })
                    data.Add(culture, state);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cultures_and_states))]
    public async Task Every_view_renders_in_each_state_and_language_with_one_heading_and_no_script(string culture, string state)
    {
        var samples = new GallerySamples(Rendered.Now, culture == "zh-CN");
        Check(await View<HomeView, HomeModel>(culture, state, samples.Home), state);
        Check(await View<CatalogueView, CatalogueModel>(culture, state, samples.Catalogue), state);
        Check(await View<DatasetView, DatasetModel>(culture, state, samples.Dataset), state);
        Check(await View<UploadView, UploadModel>(culture, state, samples.Upload with { Report = samples.Report }), state);
        Check(await View<LedgerView, LedgerModel>(culture, state, samples.Ledger with { Result = samples.Checked }), state);
        Check(await View<SignInView, SignInModel>(culture, state, samples.SignIn), state);
        Check(await View<RolesView, RolesModel>(culture, state, samples.Roles), state);
    }

    [Theory]
    [InlineData("zh-CN")]
    [InlineData("en")]
    public async Task Every_error_has_a_sentence_and_a_way_on(string culture)
    {
        foreach (var status in new[] { 400, 401, 403, 404, 410, 429, 500, 503 })
        {
            var html = await Rendered.As<ErrorView>(culture, new { Model = new ErrorModel(status, Reference: "ref-1") });
            Check(html, "error");
            Assert.Contains("ref-1", html);
            Assert.Contains("href=\"/\"", html);
        }
    }

    [Fact]
    public async Task A_refusal_does_not_look_like_an_empty_list()
    {
        var empty = await Rendered.As<CatalogueView>("en", new { Model = Shown.Ready(new CatalogueModel([], null, null, 0, new(null, null))) });
        var denied = await Rendered.As<CatalogueView>("en", new { Model = Shown.Denied<CatalogueModel>(askHref: "/ask") });
        Assert.Contains("gz-state-empty", empty);
        Assert.Contains("gz-state-denied", denied);
        Assert.Contains("href=\"/ask\"", denied);
        Assert.DoesNotContain("gz-state-empty", denied);
    }

    [Fact]
    public async Task What_a_visitor_sent_is_shown_as_text_only()
    {
        const string Evil = "\"><script>alert(1)</script>";
        var search = await Rendered.As<CatalogueView>("en", new { Model = Shown.Ready(new CatalogueModel([], Evil, Evil, 0, new(null, null))) });
        var check = await Rendered.As<LedgerView>("en", new
        {
            Model = Shown.Ready(new LedgerModel("o", null, null, [], new(null, null), Result: new(CheckVerdict.Unreadable, Evil))),
        });
        Assert.DoesNotContain("<script", search);
        Assert.DoesNotContain("<script", check);
        Assert.Contains("&lt;script", check);
    }

    [Fact]
    public async Task A_form_error_leads_to_its_field_on_this_very_page()
    {
        var html = await Rendered.As<SignInView>("en", new
        {
            Model = Shown.Ready(new SignInModel("/sign-in", Errors: [new("name", "Write your user name.")])),
        }, path: "/sign-in?returnUrl=%2F");
        Assert.Contains("href=\"/sign-in?returnUrl=%2F#name\"", html);
        Assert.Contains("id=\"name\"", html);
    }

    [Fact]
    public async Task An_upload_that_kept_nothing_says_so_and_does_not_show_a_receipt()
    {
        var report = new UploadReport("a.csv", "Cards", false, 10, 2, 0, [new(3, "amount", "type", "Not a number.")], "/rejects", null, null, Rendered.Now, null);
        var html = await Rendered.As<UploadReportView>("en", new { Report = report });
        Assert.Contains("Nothing was kept", html);
        Assert.DoesNotContain("Receipt", html);
        Assert.Contains("Not a number.", html);
    }

    [Fact]
    public async Task A_seal_without_an_index_promises_nothing()
    {
        var html = await Rendered.As<Seal>("en", new { Model = new SealModel(SealSubject.Batch, null, ProofHref: "/p") });
        Assert.Contains("Proof on its way", html);
        Assert.DoesNotContain("href=\"/p\"", html);
    }

    private static Task<string> View<TView, TModel>(string culture, string state, TModel model)
        where TView : IComponent
        where TModel : class => Rendered.As<TView>(culture, new
        {
            Model = state switch
            {
                "loading" => Shown.Loading<TModel>(),
                "denied" => Shown.Denied<TModel>(askHref: "/ask"),
                "failed" => Shown.Failed<TModel>("ref-1", "/again"),
                _ => Shown.Ready(model),
            },
        });

    private static void Check(string html, string state)
    {
        Assert.Equal(1, H1().Count(html));
        // Only the form that shows more with a script of ours names one, and none has a text of its own.
        Assert.DoesNotContain("<script", html.Contains("data-live-upload", StringComparison.Ordinal) ? UploadScript().Replace(html, "") : html, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(" style=", html);
        Assert.DoesNotMatch(ThirdParty(), html);
        Assert.DoesNotMatch(MissingSentence(), html);
        if (state is "loading" or "denied" or "failed")
            Assert.Contains("gz-state-" + state, html);
        var ids = Id().Matches(html).Select(x => x.Groups[1].Value).ToList();
        Assert.Equal(ids.Distinct().Count(), ids.Count);
        foreach (Match label in LabelFor().Matches(html))
            Assert.Contains(label.Groups[1].Value, ids);
    }

    [GeneratedRegex("<h1[ >]")]
    private static partial Regex H1();

    [GeneratedRegex("(?:src|href|action)=\"(?:https?:)?//")]
    private static partial Regex ThirdParty();

    [GeneratedRegex("<script type=\"module\" src=\"[^\":]*upload[^\":]*\"></script>")]
    private static partial Regex UploadScript();

    // A sentence that is missing shows its key, such as Upload.Title.
    [GeneratedRegex("[>\"](?:Home|Catalogue|Dataset|Upload|Report|Ledger|Check|SignIn|Roles|Error|State|Shell|Seal|Field|Entry|Grant|When|Opening|Sharing|Class)\\.[A-Z][A-Za-z.]+[<\"]")]
    private static partial Regex MissingSentence();

    [GeneratedRegex(" id=\"([^\"]+)\"")]
    private static partial Regex Id();

    [GeneratedRegex("<label[^>]* for=\"([^\"]+)\"")]
    private static partial Regex LabelFor();
}
