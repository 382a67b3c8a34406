using System.CommandLine;
using System.Net.Http.Headers;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin places</c>.</summary>
internal static class PlaceVerbs
{
    public static Command Create(AdminCall call)
    {
        var file = new Argument<string>("FILE") { Description = Say.In("CSV with a header: code, name, and where known nameEn, parent, validFrom, validTo, successors, administeredBy, lon, lat, crs.",
            "带表头的 CSV：code、name，已知时还有 nameEn、parent、validFrom、validTo、successors、administeredBy、lon、lat、crs。") };
        var import = new Verb("import", "Import administrative divisions; all of the file or nothing.", "导入行政区划；整个文件成功或全部不导入。", "admin places import streets.csv") { file };
        import.SetAction((parsed, cancel) => call.RunAsync(parsed, () => Upload(parsed.GetValue(file)!, "api/v1/places", "text/csv"),
            answer => Say.In($"Imported {answer.GetProperty("imported")} places; the node knows {answer.GetProperty("total")}.", $"已导入 {answer.GetProperty("imported")} 个区划；节点共有 {answer.GetProperty("total")} 个。"), cancel));

        var outlines = new Argument<string>("FILE") { Description = Say.In("GeoJSON FeatureCollection; each feature's id, or its property code, is a division code.", "GeoJSON FeatureCollection；每个要素的 id 或属性 code 为区划代码。") };
        var crs = new Option<string?>("--crs") { Description = Say.In("Coordinate system of the file, unless its member crs says: WGS-84, CGCS2000, GCJ-02, BD-09.", "文件的坐标系（文件内 crs 成员已注明时可省略）：WGS-84、CGCS2000、GCJ-02、BD-09。") };
        var shapes = new Verb("shapes", "Import outlines of places; all of the file or nothing.", "导入区划边界；整个文件成功或全部不导入。", "admin places shapes districts.geojson --crs GCJ-02") { outlines, crs };
        shapes.SetAction((parsed, cancel) => call.RunAsync(parsed,
            () => Upload(parsed.GetValue(outlines)!, "api/v1/places/shapes" + (parsed.GetValue(crs) is { } system ? "?crs=" + Uri.EscapeDataString(system) : ""), "application/geo+json"),
            answer => Say.In($"Imported {answer.GetProperty("imported")} outlines.", $"已导入 {answer.GetProperty("imported")} 个边界。"), cancel));

        var search = new Argument<string>("TEXT") { Description = Say.In("A name, part of one, or pinyin initials.", "名称、名称的一部分或拼音首字母。") };
        var find = new Verb("find", "Find a place by name, part of it, or initials.", "按名称、部分名称或拼音首字母查找区划。", "admin places find 劝业场", "admin places find qyc") { search };
        find.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Get("api/v1/places?search=" + Uri.EscapeDataString(parsed.GetValue(search)!)),
            answer => AdminCall.Lines(answer.GetProperty("places"), "code", "name", "level"), cancel));
        return new Verb("places", "The tree of administrative divisions.", "行政区划树。") { import, shapes, find };
    }

    private static HttpRequestMessage Upload(string path, string to, string type)
    {
        if (!File.Exists(path))
            throw new CliException(ExitCode.Usage, Say.In($"There is no file {path}.", $"没有文件 {path}。"));
        var content = new StreamContent(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, useAsync: true));
        content.Headers.ContentType = new MediaTypeHeaderValue(type);
        return new HttpRequestMessage(HttpMethod.Post, new Uri(to, UriKind.Relative)) { Content = content };
    }
}
