// The norm unit: two passes over a tile of rows, see norm_step. The control, LANES lanes of either pass, the
// sums over the lanes, and the way from a row's sums to its root. The vector buffer, the row memory, the
// table's two memories, and gamma and beta lie outside; what is read comes back in the next cycle.
module norm #(
    parameter int LANES    = 64,
    parameter int NEWTON   = 1,
    parameter int SEGMENTS = 96,
    parameter int LATENCY  = 12,
    parameter int ADDRESS  = $clog2(SEGMENTS / 2 + 1)
) (
    input  logic                       clk,
    input  logic                       rst,
    // pass 1: a chunk of a row, and the row's exponent
    input  logic                       valid,
    input  logic        [LANES*16-1:0] code,
    input  logic         [LANES*8-1:0] exponent,
    input  logic signed          [7:0] row_exponent,
    // for the tile
    input  logic                [15:0] rows,
    input  logic                [13:0] chunks,
    input  logic                [13:0] length,
    input  logic                       centred,
    input  logic                 [3:0] spare,
    input  logic                [15:0] epsilon,
    input  logic signed         [10:0] epsilon_exponent,
    // what was read: the table, the vector buffer and the row memory, gamma and beta
    input  logic                [18:0] even,
    input  logic                [18:0] odd,
    input  logic        [LANES*16-1:0] word,
    input  logic signed         [29:0] row_s1,
    input  logic                [18:0] row_root,
    input  logic                 [4:0] row_half,
    input  logic        [LANES*16-1:0] gamma,
    input  logic         [LANES*8-1:0] gamma_exponent,
    input  logic        [LANES*16-1:0] beta,
    input  logic         [LANES*8-1:0] beta_exponent,
    // to the vector buffer
    output logic                       write,
    output logic                [15:0] write_address,
    output logic        [LANES*16-1:0] words,
    // to the table
    output logic                       look,
    output logic         [ADDRESS-1:0] even_address,
    output logic         [ADDRESS-1:0] odd_address,
    // to the row memory
    output logic                       store,
    output logic                [15:0] store_row,
    output logic signed         [29:0] store_s1,
    output logic                [18:0] store_root,
    output logic                 [4:0] store_half,
    // pass 2 reads
    output logic                       read,
    output logic                [15:0] read_address,
    output logic                [15:0] read_row,
    output logic                       fetch,
    output logic                [13:0] fetch_address,
    // and gives
    output logic                       done,
    output logic        [LANES*44-1:0] sum,
    output logic         [LANES*9-1:0] sum_exponent
);
  logic gather, fresh;
  norm_control #(.LATENCY(LATENCY)) control (
      .clk(clk), .rst(rst), .valid(valid), .rows(rows), .chunks(chunks),
      .write(write), .write_address(write_address), .gather(gather), .fresh(fresh), .look(look),
      .store(store), .store_row(store_row), .read(read), .read_address(read_address), .read_row(read_row),
      .fetch(fetch), .fetch_address(fetch_address), .done(done)
  );

  // pass 1
  logic [LANES*32-1:0] squares;
  logic signed [29:0] s1_of_row;
  logic [43:0] s2_of_row;
  for (genvar i = 0; i < LANES; i++) begin : entry
    norm_entry u (
        .clk(clk),
        .code(code[i*16+:16]),
        .exponent(exponent[i*8+:8]),
        .row_exponent(row_exponent),
        .spare(spare),
        .word(words[i*16+:16]),
        .square(squares[i*32+:32])
    );
  end
  norm_sums #(.LANES(LANES)) sums (
      .clk(clk), .gather(gather), .fresh(fresh), .words(words), .squares(squares),
      .s1(s1_of_row), .s2(s2_of_row)
  );
  norm_root #(.NEWTON(NEWTON), .SEGMENTS(SEGMENTS), .LATENCY(LATENCY)) reciprocal (
      .clk(clk), .s1(s1_of_row), .s2(s2_of_row), .row_exponent(row_exponent), .length(length),
      .centred(centred), .spare(spare), .epsilon(epsilon), .epsilon_exponent(epsilon_exponent),
      .even(even), .odd(odd), .even_address(even_address), .odd_address(odd_address),
      .held_s1(store_s1), .root(store_root), .held_half(store_half)
  );

  // pass 2: a row's values reach the stages that need them, one for all lanes
  logic signed [29:0] s1[2];
  logic        [18:0] root[3];
  logic         [4:0] half[5];
  logic signed [29:0] own_s1;
  logic        [18:0] own_root;
  logic         [4:0] own_half;
  assign own_s1   = s1[1];
  assign own_root = root[2];
  assign own_half = half[4];
  for (genvar i = 0; i < 2; i++) begin : wait_with_s1
    always_ff @(posedge clk) s1[i] <= i == 0 ? row_s1 : s1[i==0?0:i-1];
  end
  for (genvar i = 0; i < 3; i++) begin : wait_with_root
    always_ff @(posedge clk) root[i] <= i == 0 ? row_root : root[i==0?0:i-1];
  end
  for (genvar i = 0; i < 5; i++) begin : wait_with_half
    always_ff @(posedge clk) half[i] <= i == 0 ? row_half : half[i==0?0:i-1];
  end
  for (genvar i = 0; i < LANES; i++) begin : element
    norm_element #(.LATENCY(LATENCY)) u (
        .clk(clk),
        .word(word[i*16+:16]),
        .length(length),
        .s1(own_s1),
        .root(own_root),
        .half(own_half),
        .gamma(gamma[i*16+:16]),
        .gamma_exponent(gamma_exponent[i*8+:8]),
        .beta(beta[i*16+:16]),
        .beta_exponent(beta_exponent[i*8+:8]),
        .sum(sum[i*44+:44]),
        .sum_exponent(sum_exponent[i*9+:9])
    );
  end
endmodule
