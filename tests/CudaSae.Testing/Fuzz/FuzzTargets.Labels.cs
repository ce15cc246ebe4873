using System.Text;
using CudaSae.Cli;
using CudaSae.Files;
using CudaSae.Lab.Insight.Probes;

namespace CudaSae.Testing.Fuzz;

/// <summary>Labels of probes: .csv, and .npy with their content.</summary>
sealed partial class FuzzTargets
{
    const int LabelledRows = 6;

    static FuzzTarget LabelsCsv()
    {
        static void Read(byte[] bytes) => Touch(CsvLabels.Read(new MemoryStream(bytes), Name, LabelledRows));
        string[] texts = ["animal,\"big, or not\",n\r\ncat,yes,3\r\ndog,no,-1\r\n,yes,12\r\ncat,,3\r\n\"a "
            + "\"\"b\"\"\",no,0\r\ncat,yes,3\r\n",
            "q\n1\n0\n\n1\n1\n0", "\ufeffa,b\ntrue,x\nfalse,y\ntrue,\n,z\ntrue,x\nfalse,x\n"];
        return new("labels-csv", [.. texts.Select(t => new FuzzCase(Encoding.UTF8.GetBytes(t), null, Read))],
            Words("\"", "\"\"", ",", ",,,,", "\n", "\r", "\r\n", "\n\n", "nan", "NaN", "-1", "yes", "no", "0", "1",
                "true", "\xef\xbb\xbf", "\xff", "\xe2\x80\xa8", "sep=;", ";", "#", " ", "\0", "=1+1", "2147483648"));
    }

    static FuzzTarget LabelsNpy()
    {
        static void Read(byte[] bytes)
        {
            using var file = new MappedFile(Name, bytes);
            Touch(NpyLabels.Read(file, LabelledRows));
        }
        static byte[] File(string descr, int width, params long[] shape) =>
            [.. NpyFile.MakeHeader(descr, shape), .. new byte[width * shape.Aggregate(1L, (a, b) => a * b)]];
        return new("labels-npy",
            [new(File("|i1", 1, LabelledRows, 4), null, Read), new(File("<i8", 8, LabelledRows), null, Read),
                new(File("<f4", 4, LabelledRows, 2, 2), null, Read), new(File("|b1", 1, LabelledRows, 3), null, Read)],
            Words("'descr': ", "'fortran_order': True", "'shape': (", "<f8", "<f2", "<i2", "<u8", "|u1", "|b1", "),",
                "(", ", 1", "6", "'", "\0\0\x80\x3f", "\xff\xff\xff\xff", "\0\0\xc0\x7f"));
    }

    static void Touch(Labels labels)
    {
        for (var q = 0; q < labels.Questions.Count; q++)
            _ = labels[q][0] + labels[q][labels.Rows - 1] + labels.Questions[q].Classes.Sum(c => c.Length);
        foreach (var property in labels.Properties) _ = labels.Name(property).Length;
    }
}
