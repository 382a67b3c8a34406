using System.CommandLine;
using System.Text.Json.Nodes;

namespace Gongzhi.Node.Cli;

/// <summary><c>gongzhi admin unit</c>.</summary>
internal static class UnitVerbs
{
    public static Command Create(AdminCall call) => new Verb("unit", "Units: organisations with a place, a level and a parent.", "单位：有所在区划、层级和上级的机构。") { CreateOne(call), List(call) };

    private static Verb CreateOne(AdminCall call)
    {
        var id = new Argument<string>("ID") { Description = Say.In("Lower-case letters, digits and hyphens.", "小写字母、数字和连字符。") };
        var name = new Option<string>("--name") { Description = Say.In("Name in Chinese.", "中文名称。"), Required = true };
        var nameEn = new Option<string?>("--name-en") { Description = Say.In("Name in English (default: the Chinese one).", "英文名称（默认同中文名）。") };
        var parent = new Option<string>("--parent") { Description = Say.In("Unit above (default: node).", "上级单位（默认 node）。"), DefaultValueFactory = _ => "node" };
        var place = new Option<string>("--place") { Description = Say.In("Division code of its area.", "所辖区划代码。"), Required = true };
        var level = new Option<int?>("--level") { Description = Say.In("Level: 1 below the first unit, and so on.", "层级：首个单位之下为 1，依次类推。") };
        var kind = new Option<string?>("--kind") { Description = Say.In("Kind (default: government).", "类型（默认 government）。") };
        var command = new Verb("create", "Create a unit; a system administrator of a unit above may.", "新建单位；须为上级单位的系统管理员。",
            "admin unit create city-data --name 数据局 --name-en 'Data bureau' --place 120101") { id, name, nameEn, parent, place, level, kind };
        command.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Send(HttpMethod.Post, "api/v1/units", new JsonObject
        {
            ["id"] = parsed.GetValue(id), ["nameZh"] = parsed.GetValue(name), ["nameEn"] = parsed.GetValue(nameEn), ["parent"] = parsed.GetValue(parent),
            ["place"] = parsed.GetValue(place), ["level"] = parsed.GetValue(level) ?? 1, ["kind"] = parsed.GetValue(kind),
        }), made => Say.In($"Created unit {made.GetProperty("id")}.", $"已新建单位 {made.GetProperty("id")}。"), cancel));
        return command;
    }

    private static Verb List(AdminCall call)
    {
        var command = new Verb("list", "List the units: id, name, place, parent.", "列出单位：编号、名称、区划、上级。", "admin unit list");
        command.SetAction((parsed, cancel) => call.RunAsync(parsed, () => AdminCall.Get("api/v1/units"),
            answer => AdminCall.Lines(answer.GetProperty("units"), "id", Say.In("nameEn", "nameZh"), "place", "parent"), cancel));
        return command;
    }
}
