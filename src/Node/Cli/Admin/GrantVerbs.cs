using System.CommandLine;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin grant</c>.</summary>
internal static class GrantVerbs
{
    public static Command Create(AdminCall call)
    {
        var file = new Argument<string>("FILE") { Description = Say.In("JSON as POST /api/v1/grants takes it (docs/guide/permissions.md); - for standard input.", "JSON，与 POST /api/v1/grants 相同（见 docs/guide/permissions.md）；- 表示标准输入。") };
        var create = new Verb("create", "Let somebody read; a steward of the owning unit may.", "授权他人读取；须为所属单位的数据管理员。", "admin grant create grant.json") { file };
        create.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Send(HttpMethod.Post, "api/v1/grants", AdminCall.ReadJson(parsed.GetValue(file)!)),
            made => Say.In($"Grant {made.GetProperty("id")}, until {made.GetProperty("validUntil")}.", $"授权 {made.GetProperty("id")}，有效期至 {made.GetProperty("validUntil")}。"), cancel));

        var dataset = new Option<string?>("--dataset") { Description = Say.In("Only grants on this dataset.", "仅列该数据集的授权。") };
        var list = new Verb("list", "List the grants you may see: id, dataset, until, revoked.", "列出您可见的授权：编号、数据集、有效期、撤销时间。", "admin grant list --dataset trees") { dataset };
        list.SetAction((parsed, cancel) => call.ListAsync(parsed, "api/v1/grants" + (parsed.GetValue(dataset) is { } id ? "?dataset=" + Uri.EscapeDataString(id) : ""),
            "grants", ["id", "dataset", "validUntil", "revokedAt"], cancel));

        var grant = new Argument<string>("ID") { Description = Say.In("Id of the grant.", "授权编号。") };
        var revoke = new Verb("revoke", "End a grant at once.", "立即撤销授权。", "admin grant revoke 0192…") { grant };
        revoke.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Delete("api/v1/grants/" + Uri.EscapeDataString(parsed.GetValue(grant)!)),
            _ => Say.In($"Revoked {parsed.GetValue(grant)}.", $"已撤销 {parsed.GetValue(grant)}。"), cancel));
        return new Verb("grant", "Grants: who may read what, for which purpose, how fine.", "授权：谁、为何用途、可读什么、细到什么程度。") { create, list, revoke };
    }
}
