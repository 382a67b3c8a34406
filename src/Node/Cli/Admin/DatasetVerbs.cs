using System.CommandLine;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin dataset</c>.</summary>
internal static class DatasetVerbs
{
    public static Command Create(AdminCall call)
    {
        var file = new Argument<string>("FILE") { Description = Say.In("JSON definition as PUT /api/v1/datasets/{id} takes it; - for standard input.", "JSON 定义，与 PUT /api/v1/datasets/{id} 相同；- 表示标准输入。") };
        var id = new Option<string?>("--id") { Description = Say.In("Id of the dataset (default: the member id, then the file's name).", "数据集编号（默认取成员 id，其次取文件名）。") };
        var create = new Verb("create", "Create a dataset, or a compatible new version of it; a steward may.", "新建数据集或其兼容的新版本；须为数据管理员。",
            "admin dataset create trees.json", "admin dataset create definition.json --id trees") { file, id };
        create.SetAction((parsed, cancel) => call.RunAsync(parsed, () =>
        {
            var path = parsed.GetValue(file)!;
            var definition = AdminCall.ReadJson(path);
            var name = parsed.GetValue(id) ?? (definition["id"] is { } own && own.GetValueKind() == System.Text.Json.JsonValueKind.String ? own.GetValue<string>() : null)
                ?? (path == "-" ? throw new CliException(ExitCode.Usage, Say.In("Give --id.", "请给出 --id。")) : Path.GetFileNameWithoutExtension(path));
            return AdminCall.Send(HttpMethod.Put, "api/v1/datasets/" + Uri.EscapeDataString(name), definition);
        }, made => Say.In($"Dataset {made.GetProperty("id")} is at version {made.GetProperty("version")}.", $"数据集 {made.GetProperty("id")} 现为版本 {made.GetProperty("version")}。"), cancel));

        var list = new Verb("list", "List the datasets: id, version, owner, records.", "列出数据集：编号、版本、所属单位、记录数。", "admin dataset list");
        list.SetAction((parsed, cancel) => call.ListAsync(parsed, "api/v1/datasets", "datasets", ["id", "version", "owner", "records"], cancel));
        return new Verb("dataset", "Datasets: what is recorded, by whom owned, how classified.", "数据集：记录什么、归谁所有、如何分级。") { create, list };
    }
}
