using Gongzhi.Capabilities.Http;

namespace Gongzhi.Node.Pages;

/// <summary>The sentences that only the node's own pages need; everything else is in the UI library.</summary>
internal static class PageText
{
    private static readonly Texts Own = new("Gongzhi.Node.Pages.PageText", typeof(PageText).Assembly);

    public static bool Chinese => Texts.Chinese;

    public static string Of(string name, params object[] values) => Own.Of(name, values);

    public static string? Find(string name) => Own.Find(name);

    public static string Pick(IReadOnlyDictionary<string, string> texts, string otherwise) => Texts.Pick(texts, otherwise);
}
